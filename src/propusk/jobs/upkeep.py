"""What the installation does for itself: old rows go in small batches, and generated keys are changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from propusk.context import Context
from propusk.crypto.keyfiles import reload_private_keys
from propusk.db.transactions import by_us, release
from propusk.errors import UserInUse
from propusk.feature import Feature
from propusk.jobs.queries import delete_counters, forget_jobs
from propusk.mail.models import MailState
from propusk.mail.queries import delete_finished
from propusk.one_time.queries import delete_tokens, forget_registrations
from propusk.registry import Periodic
from propusk.sessions.queries import KNOWN_NETWORK, delete_sessions
from propusk.settings import Algorithm, Settings
from propusk.tokens.keys import rotate_keys
from propusk.tokens.queries import list_public_keys
from propusk.users.delete import delete_user
from propusk.users.queries import claim_unverified, list_unverified, lock_superusers

log = logging.getLogger(__name__)
BATCH = 500
"""Rows that go in one transaction: others who write wait no longer than that takes."""
FEW = 20
"""Users that go in one transaction: each takes everything of theirs along."""
KEY_AGE = timedelta(days=90)
"""How long a generated key signs."""
_TOKENS_KEPT = timedelta(days=7)
_SENT_KEPT = timedelta(days=7)
_FAILED_KEPT = timedelta(days=30)
_JOBS_KEPT = timedelta(days=30)


def feature(settings: Settings) -> Feature:
    """The periodic jobs of every installation."""
    work: dict[str, tuple[timedelta, Callable[[Context], Awaitable[bool]]]] = {
        "upkeep.counters": (timedelta(minutes=10), remove_counters),
        "upkeep.sessions": (timedelta(hours=1), remove_sessions),
        "upkeep.tokens": (timedelta(hours=1), remove_tokens),
        "upkeep.mails": (timedelta(hours=1), remove_mails),
        "upkeep.jobs": (timedelta(days=1), remove_jobs),
    }
    if settings.unverified_user_ttl is not None:
        users = UnverifiedUsers(settings.unverified_user_ttl)
        work["upkeep.users"] = (timedelta(hours=1), users.remove)
    if settings.signing_key_file is None:
        work["upkeep.keys"] = (timedelta(hours=1), rotate_old_key)
    return Feature(name="upkeep", periodic=tuple(Periodic(name, *how) for name, how in work.items()))


async def remove_counters(ctx: Context) -> bool:
    """Counters whose window has passed."""
    return await delete_counters(ctx, limit=BATCH) == BATCH


async def remove_sessions(ctx: Context) -> bool:
    """Sessions that nobody can use any more, once they are no longer needed to know the network of their user."""
    return await delete_sessions(ctx, idle_before=ctx.now - KNOWN_NETWORK, limit=BATCH) == BATCH


async def remove_tokens(ctx: Context) -> bool:
    """Single-use tokens that expired a week ago: until then, their links are told that they have. What a registration
    was to make goes at once.
    """
    blanked = await forget_registrations(ctx, limit=BATCH)
    return BATCH in (blanked, await delete_tokens(ctx, expired_before=ctx.now - _TOKENS_KEPT, limit=BATCH))


async def remove_mails(ctx: Context) -> bool:
    """Mails that were sent or needed not be, after a week, and those that failed, after a month."""
    kept = {MailState.SENT: _SENT_KEPT, MailState.SKIPPED: _SENT_KEPT, MailState.FAILED: _FAILED_KEPT}
    gone = [await delete_finished(ctx, state, before=ctx.now - span, limit=BATCH) for state, span in kept.items()]
    return BATCH in gone


async def remove_jobs(ctx: Context) -> bool:
    """Jobs that no process has run for a month."""
    await forget_jobs(ctx, due_before=ctx.now - _JOBS_KEPT)
    return False


class UnverifiedUsers:
    """Removes users who never proved their address, superusers excepted.

    One whom the host's own tables hold on to, or whose removal fails, stays and is passed over until the next time
    round.

    Args:
        ttl: how long they are waited for since they were made or last changed.
    """

    def __init__(self, ttl: timedelta) -> None:
        self._ttl = ttl
        self._after: tuple[datetime, UUID] | None = None

    async def remove(self, ctx: Context) -> bool:
        """A few of them."""
        before = ctx.now - self._ttl
        found = await list_unverified(ctx, before=before, after=self._after, limit=FEW)
        if found:
            # As everywhere, this lock comes before those of users.
            await lock_superusers(ctx)
        for user_id, _ in found:
            await _remove_user(ctx, user_id, before)
        # Should the commit fail, they are passed over until the next time round: others are not kept waiting for them.
        self._after = (found[-1][1], found[-1][0]) if len(found) == FEW else None
        return self._after is not None


async def _remove_user(ctx: Context, user_id: UUID, before: datetime) -> None:
    try:
        async with ctx.db.begin_nested():
            if await claim_unverified(ctx, user_id, before=before):
                await delete_user(ctx, user_id=user_id, actor_id=None)
    except UserInUse:
        log.warning("user %s never verified their address, but rows of the application hold on to them", user_id)
    except Exception:
        # A subscriber's fault or a trigger's, about this one. Without a database the next statement fails as well.
        log.exception("user %s never verified their address, but could not be removed", user_id)


async def rotate_old_key(ctx: Context) -> bool:
    """A new signing key when ours is old. Only where every key that is in use was generated here: an operator who
    gives nodes their keys gives them the new ones, too.
    """
    algorithm = ctx.settings.token_algorithm
    if ctx.settings.signing_key_file is not None or algorithm is Algorithm.HS256:
        return False
    with by_us(ctx.db):
        published = await list_public_keys(ctx.db, ctx.tables.signing_keys)
    in_use = [key for key in published if key.retired_at is None]
    await release(ctx.db)
    ours = {key.kid for key in await asyncio.to_thread(reload_private_keys, ctx.settings)}
    newest = max((key.first_seen_at for key in in_use if key.algorithm is algorithm), default=ctx.now)
    if newest > ctx.now - KEY_AGE or not {key.kid for key in in_use} <= ours:
        return False
    key, written = await rotate_keys(ctx)
    if written:
        log.info("the signing key was %s old: %s follows it", KEY_AGE, key.kid)
    return False
