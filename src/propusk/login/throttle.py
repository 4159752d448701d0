"""How often one may try to log in. Counted before any hashing, so a burst cannot outrun it."""

from dataclasses import dataclass

from propusk.context import Context
from propusk.store import Hit, check_limits


@dataclass(frozen=True)
class Attempt:
    """One counted attempt, to be taken back if it turns out to be the owner's."""

    pair: Hit
    others: tuple[Hit, ...]


async def check_throttle(ctx: Context, *, account: str, known_network: bool) -> Attempt:
    """Count an attempt against an account, its pair with the client's network, and the network.

    Args:
        account: a canonical name of the account, the same however the login was spelled.
        known_network: the owner had a session from here lately. Such a network has only its own pair with the
            account, so that strangers elsewhere cannot lock the owner out at home.
    Raises:
        TooManyRequests
    """
    limits, network = ctx.settings.limits, ctx.client.network
    pair = Hit("login pair", f"{account} {network}", limits.login_pair)
    others = [Hit("login network", network, limits.login_network)]
    if not known_network:
        others.append(Hit("login account", account, limits.login_account))
    await check_limits(ctx.store, [pair, *others], now=ctx.now)
    return Attempt(pair, tuple(others))


async def forgive(ctx: Context, attempt: Attempt) -> None:
    """The attempt was right: clear its pair and take back what it added elsewhere, and no more than that."""
    await ctx.store.give_back(attempt.others, clear=[attempt.pair], now=ctx.now)
