"""Hash passwords and check them: Argon2id (RFC 9106) for ours, more schemes for those that people bring along."""

import re
import unicodedata
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from propusk.crypto.hashing_pool import HashingPool, hashing_threads, never
from propusk.crypto.password_schemes import Check, find_check
from propusk.crypto.secrets import Entropy
from propusk.settings import PasswordSettings

__all__ = ["MAX_LENGTH", "PasswordHasher", "Verdict", "hashing_threads", "normal_form"]

MAX_LENGTH = 256


def normal_form(password: str) -> str | None:
    """The password in NFC; None if it is over 256 characters then, or no Unicode text (lone surrogates)."""
    # No character has more than four in its canonical decomposition, so what is longer than this is too long in NFC.
    if len(password) > 4 * MAX_LENGTH:
        return None
    text = unicodedata.normalize("NFC", password)
    if len(text) > MAX_LENGTH or any("\ud800" <= char <= "\udfff" for char in text):
        return None
    return text


@dataclass(frozen=True)
class Verdict:
    """What a verification found: the password is right; its stored hash should be made anew."""

    ok: bool
    rehash: bool


WRONG = Verdict(ok=False, rehash=False)


class PasswordHasher:
    """Hashes and verifies in threads of its own. One per process, used from one event loop until it is closed.

    Every verification costs a hash: the user's own, or, where there is none to check (no user, no password, a broken
    hash, an impossible password), one with the current parameters. So time does not tell which it was.

    It costs two where the hash is not of the current parameters and the password was not typed in NFC. Others' hashes
    take another time anyway; who imported some hides both by a `login_floor` above twice what the slowest takes.

    Args:
        settings: cost of our own hashes.
        entropy: where salts come from.
        threads: hashes computed at once.
        queue: hashes that may wait; see `HashingPool`.
    Raises:
        cryptography.exceptions.UnsupportedAlgorithm: the OpenSSL that cryptography was built with has no Argon2.
    """

    def __init__(self, settings: PasswordSettings, *, entropy: Entropy, threads: int, queue: int = 256) -> None:
        self._cost = settings
        self._entropy = entropy
        # What we would write, and nothing like it: 16 bytes of salt, 32 of the hash.
        self._form = re.compile(
            rf"\$argon2id\$v=19\$m={settings.memory_kib},t={settings.iterations},p=1\$[A-Za-z0-9+/]{{22}}\$[A-Za-z0-9+/]{{43}}"
        )
        self._argon2id(bytes(16))  # not every OpenSSL has it
        self._new_pool = partial(HashingPool, threads=threads, queue=queue)
        self._pool = self._new_pool()

    @property
    def calls(self) -> int:
        """How many computations of a hash were started."""
        return self._pool.started

    def expecting(self, share: str) -> AbstractContextManager[None]:
        """Hold a place in the queue while a verification is prepared that comes right after; see `HashingPool`.

        Raises:
            Overloaded: on entering; nothing need be asked of the database for a flood that nobody will hash.
        """
        return self._pool.expecting(share)

    async def hash(self, password: str, *, share: str) -> str:
        """The hash to store for a password that `check_password` let through.

        Args:
            share: whose part of the queue this takes: the client's network.
        Raises:
            Overloaded: too many are waiting.
            ValueError: the password has no normal form.
        """
        text = normal_form(password)
        if text is None:
            raise ValueError("this password cannot be hashed: check it first")
        kdf = self._argon2id(self._entropy(16))
        hashed: str = await self._pool.run(share, partial(kdf.derive_phc_encoded, text.encode()))
        return hashed

    async def verify(
        self,
        stored: str | None,
        password: str,
        *,
        share: str,
        has_gone: Callable[[], Awaitable[bool]] = never,
    ) -> Verdict:
        """Whether this is the password that `stored` was made from. Nothing in either makes this raise.

        Args:
            stored: the user's hash, of any scheme; None if there is no user or no password.
            share: whose part of the queue this takes: the client's network.
            has_gone: whether the client has hung up; see `HashingPool.run`.
        Raises:
            Overloaded: too many are waiting, or this one does no more.
        """
        run = partial(self._pool.run, share, has_gone=has_gone)
        text = normal_form(password)
        if stored is None or text is None:
            return await self._verify_nothing(run)
        check = find_check(stored)
        if check is None:
            return await self._verify_nothing(run)
        if self._form.fullmatch(stored):
            return Verdict(ok=await run(partial(self._check, check, text)), rehash=False)
        # Others did not normalise, so their hashes may be of what was typed. Two at most, and two only for such a one.
        for candidate in dict.fromkeys((text, password)):
            if await run(partial(self._check, check, candidate)):
                return Verdict(ok=True, rehash=True)
        return WRONG

    def close(self) -> None:
        """Let the threads end. Who comes later, in another event loop maybe, gets new ones."""
        self._pool.close()
        self._pool = self._new_pool()

    async def _verify_nothing(self, run: Callable[[Callable[[], Any]], Awaitable[Any]]) -> Verdict:
        await run(self._compute_decoy)
        return WRONG

    def _argon2id(self, salt: bytes) -> Argon2id:
        return Argon2id(
            salt=salt, length=32, iterations=self._cost.iterations, lanes=1, memory_cost=self._cost.memory_kib
        )

    def _check(self, check: Check, password: str) -> bool:
        try:
            return check(password)
        except Exception:
            # A row can be broken in ways that no list foresees; then it costs and says what a wrong password does.
            self._compute_decoy()
            return False

    def _compute_decoy(self) -> None:
        self._argon2id(bytes(16)).derive(b"")
