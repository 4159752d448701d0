"""The file with the private keys, as a running process follows it."""

import asyncio
import logging

from propusk.crypto.keyfiles import reload_private_keys, signing_key_path
from propusk.crypto.keyring import KeyFileError, PrivateKey
from propusk.settings import Settings

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds for which anybody waits for the file's disk."""


class KeyFile:
    """Reads the file again when it has changed.

    Args:
        private: the keys that it had at the start.
    """

    def __init__(self, settings: Settings, private: tuple[PrivateKey, ...]) -> None:
        self._settings = settings
        self._path = signing_key_path(settings)
        self._private = private
        self._reading: asyncio.Task[None] | None = None
        self._state: tuple[int, int] | None = None
        self._problem: str | None = None

    async def newest(self) -> tuple[PrivateKey, ...]:
        """Its keys; while it cannot be used, or its disk hangs, those from before. Says so once."""
        problem = await self._follow()
        if problem not in (None, self._problem):
            log.error("the key file cannot be used, so the keys from before sign on: %s", problem)
        self._problem = problem
        return self._private

    async def _follow(self) -> str | None:
        """Take over what is in the file; returns what is wrong with it."""
        # One that still waits for its disk is waited for again: another thread would only wait beside it.
        if self._reading is None or self._reading.get_loop() is not asyncio.get_running_loop():
            self._reading = asyncio.create_task(asyncio.to_thread(self._read))
        done, _ = await asyncio.wait([self._reading], timeout=PATIENCE)
        if not done:
            return f"{self._path}: not read within {PATIENCE:g} s"
        reading, self._reading = self._reading, None
        try:
            reading.result()
        except (KeyFileError, OSError) as error:
            return str(error)
        return None

    def _read(self) -> None:
        """Parse the file if it has changed: an RSA key takes its time."""
        state = self._path.stat() if self._path.exists() else None
        if state is None or (state.st_mtime_ns, state.st_size) != self._state:
            self._private = reload_private_keys(self._settings)
            self._state = (state.st_mtime_ns, state.st_size) if state else None
