"""How often one may try to log in. Counted before any hashing, so a burst cannot outrun it."""

from dataclasses import dataclass

from propusk.context import Context
from propusk.errors import TooManyRequests
from propusk.store import Hit, by_network, refuse_over


@dataclass(frozen=True)
class Attempt:
    """One counted attempt, to be taken back if it turns out to be the owner's. `pair` is empty without a network."""

    pair: tuple[Hit, ...]
    others: tuple[Hit, ...]


async def check_throttle(ctx: Context, *, account: str, beyond: Hit) -> Attempt:
    """Count an attempt against the network, if there is one, against its pair with the account, and against what bounds
    guesses over all networks.

    Args:
        account: a canonical name of the account, the same however the login was spelled.
        beyond: that bound: `over_networks`, `from_home` or `of_session`. It counts only attempts that the others let
            pass: one stranger who goes on after a 429 shall not use it up for everybody.
    Raises:
        TooManyRequests
    """
    limits, network = ctx.settings.limits, ctx.client.network
    pair = by_network("login pair", network, limits.login_pair, account=account)
    first = by_network("login network", network, limits.login_network)
    counted = await ctx.store.hit([*pair, *first, beyond], now=ctx.now)
    try:
        refuse_over(counted, [*pair, *first], now=ctx.now)
    except TooManyRequests:
        await ctx.store.give_back([beyond], now=ctx.now)
        raise
    refuse_over(counted, [beyond], now=ctx.now)
    return Attempt(tuple(pair), (*first, beyond))


def over_networks(ctx: Context, account: str) -> Hit:
    """The bound of guesses by strangers at one account."""
    return Hit("login account", account, ctx.settings.limits.login_account)


def from_home(ctx: Context, account: str) -> Hit:
    """The same for a network that the owner had a session from lately: its own, so that strangers elsewhere cannot lock
    the owner out at home, and as strict, so that nobody there learns from it who has an account.
    """
    return Hit("login home", f"{account} {ctx.client.network}", ctx.settings.limits.login_account)


def of_session(ctx: Context, session_id: str) -> Hit:
    """The bound of guesses by the holder of one session, which strangers cannot use up and a thief cannot pass."""
    return Hit("session proofs", session_id, ctx.settings.limits.login_account)


async def forgive(ctx: Context, attempt: Attempt) -> None:
    """The attempt was right: clear its pair and take back what it added elsewhere, and no more than that."""
    await ctx.store.give_back(attempt.others, clear=attempt.pair, now=ctx.now)


async def take_back(ctx: Context, attempt: Attempt) -> None:
    """The attempt was never evaluated, so it counts nowhere."""
    await ctx.store.give_back([*attempt.pair, *attempt.others], now=ctx.now)
