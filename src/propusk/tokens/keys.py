"""The keys as the whole installation knows them: published, reloaded, rotated, revoked."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from propusk.context import Context
from propusk.crypto.keyfiles import prepend_key, reload_private_keys, signing_key_path
from propusk.crypto.keyring import (
    JWKS_MAX_AGE,
    RELOAD,
    STALE,
    KeyFileError,
    KeyRing,
    PrivateKey,
    PublicKey,
    generate_key,
)
from propusk.crypto.secrets import SecretKeys
from propusk.db.schema import Tables
from propusk.errors import Unavailable
from propusk.events import KeyRevoked, KeyRotated, publish
from propusk.settings import Algorithm, Settings
from propusk.tokens import queries
from propusk.tokens.key_file import KeyFile

log = logging.getLogger(__name__)


class UnknownSecretKey(Exception):
    """The database was used with other secret keys: tokens of one node would be refused by another."""


class Keys:
    """Holds the current `KeyRing` of a process and keeps it young: read again every 2 s while in use.

    A process that could not read the published keys for 10 s refuses with 503 rather than accept a token whose key may
    be revoked. A key file that breaks meanwhile, or whose disk hangs, makes nobody wait: we go on signing with the keys
    that we have.

    Args:
        reader: where they are read, whatever use cases do to the connections of `sessions`.
        sessions: for publishing them.
    """

    def __init__(
        self,
        settings: Settings,
        secrets: SecretKeys,
        private: tuple[PrivateKey, ...],
        tables: Tables,
        reader: AsyncEngine,
        sessions: async_sessionmaker[AsyncSession],
        clock: Callable[[], datetime],
        *,
        keep_clock_right: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._signing_keys = tables.signing_keys
        self._reader = reader
        self._sessions = sessions
        self._clock = clock
        self._keep_clock_right = keep_clock_right
        self._monotonic = monotonic
        self._ring = KeyRing(settings.token_algorithm, secrets, private)
        self._loaded = float("-inf")
        self._loading: asyncio.Task[None] | None = None
        self._file = KeyFile(settings, private)
        self._published: set[str] = set()

    @property
    def known(self) -> KeyRing:
        """The keys as they were read last, however long ago: for who neither signs nor verifies."""
        return self._ring

    async def current(self) -> KeyRing:
        """The keys, never older than 10 s.

        Raises:
            Unavailable: they could not be read for so long.
        """
        age = self._monotonic() - self._loaded
        if age >= RELOAD.total_seconds():
            task = self._start_loading()
            if age >= STALE.total_seconds():
                await asyncio.wait([task], timeout=3)
                if self._monotonic() - self._loaded >= STALE.total_seconds():
                    raise Unavailable
        return self._ring

    def _start_loading(self) -> asyncio.Task[None]:
        if self._loading is None or self._loading.done():
            self._loading = asyncio.get_running_loop().create_task(self._load_or_log())
        return self._loading

    async def _load_or_log(self) -> None:
        try:
            # A database that hangs must not keep us from trying again.
            async with asyncio.timeout(5):
                await self.load()
        except Exception:
            log.exception("the signing keys could not be read")

    async def load(self) -> None:
        """Read the key file and the published keys; publish a key of ours that is new. Sets the clock right before."""
        started = self._monotonic()
        await self._keep_clock_right()
        private = await self._file.newest()
        now = self._clock()
        self._put_together(private, await self._sync(private, now), now)
        self._loaded = started

    async def _sync(self, private: tuple[PrivateKey, ...], now: datetime) -> list[PublicKey]:
        """The published keys, with ours among them."""
        known = await self._read()
        # A revoked key is not among the known ones, and stays so: it is published once and no more.
        new = [key for key in private if key.kid not in {key.kid for key in known} | self._published]
        lagging = self._lagging(private, known, now)
        if new or lagging:
            await self._publish(new, lagging, now)
            known = await self._read()
        return known

    async def _read(self) -> list[PublicKey]:
        async with self._reader.connect() as connection:
            return await queries.list_public_keys(connection, self._signing_keys)

    def _put_together(self, private: tuple[PrivateKey, ...], known: list[PublicKey], now: datetime) -> None:
        public = {key.kid: key for key in known if not self._is_over(key, now)}
        ring = replace(self._ring, private=private, public=public)
        # The same object for the same keys: others keep by it what they made of them.
        if ring != self._ring:
            self._ring = ring

    async def _publish(self, new: list[PrivateKey], lagging: list[str], now: datetime) -> None:
        """Let the installation know keys of ours, and keep those that we still need."""
        async with self._sessions() as db:
            for key in new:
                await queries.publish_key(db, self._signing_keys, key, now)
            await queries.keep_keys(db, self._signing_keys, lagging)
            await db.commit()
        self._published |= {key.kid for key in new}

    def _lagging(self, private: tuple[PrivateKey, ...], known: list[PublicKey], now: datetime) -> list[str]:
        """Our newest key, if another node retired it: better an old key than tokens that nobody accepts."""
        newest = next((key.kid for key in private if key.algorithm is self._settings.token_algorithm), None)
        lagging = [
            key.kid for key in known if key.kid == newest and key.retired_at is not None and key.retired_at <= now
        ]
        if lagging:
            log.warning("our newest signing key was retired by another node: give this node the new key file")
        return lagging

    def _is_over(self, key: PublicKey, now: datetime) -> bool:
        """Whether the last token that a retired key signed has expired."""
        return key.retired_at is not None and key.retired_at + self._settings.access_token_ttl + STALE < now

    async def close(self) -> None:
        # One that is done may be of a loop that is closed.
        if self._loading is not None and not self._loading.done():
            await asyncio.wait([self._loading])


async def check_secret_keys(ctx: Context) -> None:
    """Let the database know our secret keys, unless it knows others only.

    Raises:
        UnknownSecretKey: none of ours is known there; most likely each node generated its own.
    """
    known = await queries.list_fingerprints(ctx.db, ctx.tables.secret_keys)
    if not known:
        # Of nodes that start at once on a new database, with a key each, only the first may enter its own.
        await queries.lock_secret_keys(ctx)
        known = await queries.list_fingerprints(ctx.db, ctx.tables.secret_keys)
    ours = {key.fingerprint for key in ctx.keyring.secrets.keys}
    if known and not known & ours:
        raise UnknownSecretKey(
            "this database is used with another secret_key; give every node the same (and, to change it, the old one"
            " after the new one: PROPUSK_SECRET_KEY=new,old)"
        )
    for fingerprint in ours - known:
        await queries.save_fingerprint(ctx.db, ctx.tables.secret_keys, fingerprint, ctx.now)


def signs_from(now: datetime) -> datetime:
    """When a key that is published now begins to sign: every verifier can know it by then."""
    return now + JWKS_MAX_AGE + STALE


async def rotate_keys(ctx: Context) -> tuple[PrivateKey, bool]:
    """Make a new signing key: published now, it signs once every verifier can know it; then the older ones retire.

    Returns:
        the key, and whether it was written to the key file; if not (the file is read-only), its PEM must be put before
        the others in the file of every node.
    Raises:
        KeyFileError: the key file cannot be used, or the algorithm has no key of its own.
    """
    if ctx.settings.token_algorithm is Algorithm.HS256:
        raise KeyFileError("HS256 takes its key from secret_key: put a new one before the old one there")
    older = await asyncio.to_thread(reload_private_keys, ctx.settings)
    key = await asyncio.to_thread(generate_key, ctx.settings.token_algorithm)
    try:
        await asyncio.to_thread(prepend_key, signing_key_path(ctx.settings), key, older)
    except OSError:
        return key, False
    await queries.publish_key(ctx.db, ctx.tables.signing_keys, key, ctx.now)
    # Not those of another algorithm: after a change back to it they would be the only ones to sign with.
    replaced = [old.kid for old in older if old.algorithm is key.algorithm]
    await queries.retire_keys(ctx.db, ctx.tables.signing_keys, replaced, signs_from(ctx.now))
    await publish(ctx, KeyRotated(user_id=None, detail=key.kid))
    return key, True


async def revoke_key(ctx: Context, *, kid: str) -> timedelta:
    """Revoke a key: every token it signed is refused.

    Returns:
        how long to wait, after the commit, until that holds in every process.
    Raises:
        KeyFileError: there is no such key, or it is the only one.
    """
    keys = {key.kid for key in await queries.list_public_keys(ctx.db, ctx.tables.signing_keys)}
    if kid not in keys:
        raise KeyFileError("no such key; propusk keys list shows them")
    algorithm = ctx.settings.token_algorithm
    usable = await asyncio.to_thread(reload_private_keys, ctx.settings)
    others = [key for key in usable if key.algorithm is algorithm and key.kid != kid and key.kid in keys]
    if not others and algorithm is not Algorithm.HS256:
        raise KeyFileError("it is the only key to sign with: run propusk keys rotate first")
    await queries.revoke_key(ctx.db, ctx.tables.signing_keys, kid, ctx.now)
    await publish(ctx, KeyRevoked(user_id=None, detail=kid))
    return STALE + timedelta(seconds=1)


@dataclass(frozen=True)
class KeyState:
    """A published key and where it stands: `signing`, `published` (may sign later), `retiring` (verifies only),
    `retired` (its last token has expired) or `revoked`.
    """

    kid: str
    algorithm: Algorithm
    state: str
    first_seen_at: datetime
    retired_at: datetime | None
    revoked_at: datetime | None


async def list_keys(ctx: Context) -> list[KeyState]:
    """Every key that was ever published, newest first."""
    signing = ctx.keyring.signing_key(ctx.now)
    verifying = ctx.keyring.public.keys()

    def state(kid: str, retired_at: datetime | None, revoked_at: datetime | None) -> str:
        if revoked_at is not None:
            return "revoked"
        if signing is not None and kid == signing.kid:
            return "signing"
        if kid not in verifying:
            return "retired"
        return "retiring" if retired_at is not None else "published"

    return [
        KeyState(kid, algorithm, state(kid, retired_at, revoked_at), first_seen_at, retired_at, revoked_at)
        for kid, algorithm, first_seen_at, retired_at, revoked_at in await queries.list_key_times(ctx)
    ]
