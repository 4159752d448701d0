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
            for a client that hangs up and a request that is cancelled while it waits.
    """
    client = ctx.client
    try:
        return await ctx.passwords.verify(stored, password, share=client.network, has_gone=client.has_gone)
    except BaseException:
        await take_back(ctx, attempt)
        raise
