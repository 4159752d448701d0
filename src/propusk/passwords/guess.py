"""One guess at a password: counted before, evaluated here."""

from propusk.context import Context
from propusk.crypto.passwords import Verdict
from propusk.login.throttle import Attempt, take_back


async def guess(ctx: Context, attempt: Attempt, *, stored: str | None, password: str) -> Verdict:
    """Whether the password is right.

    Args:
        attempt: as `check_throttle` counted it.
        stored: the user's hash; None costs the same and is never right.
    Raises:
        Overloaded: nothing was evaluated, and nothing is counted: a flood of others' logins locks nobody out. The same
            for a client that hangs up and a request that is cancelled while it waits. Once a hash was begun, the
            attempt counts whatever becomes of it.
    """
    client, begun = ctx.client, False

    async def has_gone() -> bool:
        nonlocal begun
        if await client.has_gone():
            return True
        begun = True  # the pool asks just before it begins
        return False

    try:
        return await ctx.passwords.verify(stored, password, share=client.network, has_gone=has_gone)
    except BaseException:
        if not begun:
            await take_back(ctx, attempt)
        raise
