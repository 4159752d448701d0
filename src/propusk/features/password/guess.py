"""One guess at a password: counted first, evaluated second."""

from propusk.context import Context
from propusk.crypto.passwords import Verdict
from propusk.login.throttle import Attempt, check_throttle, take_back
from propusk.store import Hit


async def guess(
    ctx: Context, *, account: str, beyond: Hit, stored: str | None, password: str
) -> tuple[Verdict, Attempt]:
    """Whether the password is right, and the attempt, for `forgive`.

    Args:
        account, beyond: see `check_throttle`.
        stored: the user's hash; None costs the same and is never right.
    Raises:
        TooManyRequests
        Overloaded: nothing was evaluated, and nothing is counted: a flood of others' logins locks nobody out. The same
            for a request that is cancelled while it waits.
    """
    attempt = await check_throttle(ctx, account=account, beyond=beyond)
    try:
        verdict = await ctx.passwords.verify(stored, password, share=ctx.client.network)
    except BaseException:
        await take_back(ctx, attempt)
        raise
    return verdict, attempt
