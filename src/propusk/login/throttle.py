"""How often one may try to log in. Counted before any hashing, so a burst cannot outrun it."""

from dataclasses import dataclass

from propusk.context import Context
from propusk.errors import TooManyRequests
from propusk.store import Hit, by_network, is_over, refuse_over


@dataclass(frozen=True)
class Bounds:
    """What bounds guesses at one account: those of the client's network, if there is one, and those beyond it."""

    pair: tuple[Hit, ...]
    beyond: Hit


@dataclass(frozen=True)
class Attempt:
    """One counted attempt, to be taken back if it turns out to be the owner's.

    `pairs` are empty without a network. One that is `void` is refused like a wrong one, right or not.
    """

    pairs: tuple[Hit, ...]
    others: tuple[Hit, ...]
    void: bool


async def check_throttle(ctx: Context, told: Bounds, *, untold: Bounds | None = None) -> Attempt:
    """Count an attempt against the client's network, if there is one, and against bounds of the account.

    What is `beyond` counts no attempts that the pair or the network refused: one stranger who goes on after that shall
    not use it up for everybody. It does count those that are void, or it would show which are.

    Args:
        told: beyond these the client hears that it must wait, so they may tell it nothing that it does not know.
        untold: beyond these the attempt is void.
    Raises:
        TooManyRequests
    """
    bounds = [told] if untold is None else [told, untold]
    pairs = [hit for bound in bounds for hit in bound.pair]
    first = by_network("login network", ctx.client.network, ctx.settings.limits.login_network)
    beyond = [bound.beyond for bound in bounds]
    counted = await ctx.store.hit([*pairs, *first, *beyond], now=ctx.now)
    try:
        refuse_over(counted, [*told.pair, *first], now=ctx.now)
    except TooManyRequests:
        await ctx.store.give_back(beyond, now=ctx.now)
        raise
    refuse_over(counted, [told.beyond], now=ctx.now)
    return Attempt(tuple(pairs), (*first, *beyond), void=is_over(counted, [*pairs, *beyond]))


def of_name(ctx: Context, name: str, *, at_home: bool) -> Bounds:
    """The bounds of a name that was typed, whether or not it is anybody's: what comes of them tells no stranger."""
    return _bounds(ctx, "login name", name, at_home=at_home)


def of_account(ctx: Context, account: str, *, at_home: bool) -> Bounds:
    """The bounds that all names of one account share."""
    return _bounds(ctx, "login", account, at_home=at_home)


def of_session(ctx: Context, account: str, session_id: str) -> Bounds:
    """The bounds of guesses by the holder of one session, which strangers cannot use up and a thief cannot pass."""
    beyond = Hit("session proofs", session_id, ctx.settings.limits.login_account)
    return Bounds(_pair(ctx, "login", account), beyond)


def _bounds(ctx: Context, what: str, who: str, *, at_home: bool) -> Bounds:
    """Home, a network that the owner lately had a session from or reset the password from, has a bound of its own, so
    that strangers elsewhere cannot lock the owner out there. It is as strict: a stranger there learns from it who has
    an account only after having used up the bound from elsewhere.
    """
    limit = ctx.settings.limits.login_account
    home, elsewhere = Hit(f"{what} home", f"{who} {ctx.client.network}", limit), Hit(f"{what} account", who, limit)
    return Bounds(_pair(ctx, what, who), home if at_home else elsewhere)


def _pair(ctx: Context, what: str, who: str) -> tuple[Hit, ...]:
    return tuple(by_network(f"{what} pair", ctx.client.network, ctx.settings.limits.login_pair, account=who))


async def forgive(ctx: Context, attempt: Attempt) -> None:
    """The attempt was right: clear its pairs and take back what it added elsewhere, and no more than that."""
    await ctx.store.give_back(attempt.others, clear=attempt.pairs, now=ctx.now)


async def take_back(ctx: Context, attempt: Attempt) -> None:
    """The attempt was never evaluated, so it counts nowhere."""
    await ctx.store.give_back([*attempt.pairs, *attempt.others], now=ctx.now)
