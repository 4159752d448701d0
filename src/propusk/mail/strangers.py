"""Mails that anybody may ask for, to any address: how many, before anything is looked up."""

from propusk.context import Context
from propusk.errors import TooManyRequests
from propusk.mail.outbox import check_room
from propusk.store import Hit, by_network, refuse_over


async def may_ask(ctx: Context, email_key: str, *, kind: str) -> bool:
    """Count a request for a mail to an address, whoever's it is; False when nothing more is to be sent there for now.

    Answer alike in both cases. Call it before the first write.

    Args:
        email_key: the address, normalised; nobody need have it.
        kind: of the mail; each is counted by itself, so that asking for one keeps nobody from another.
    Raises:
        TooManyRequests: from this network.
        Overloaded: too many mails wait.
    """
    limits = ctx.settings.limits
    network = by_network("mail network", ctx.client.network, limits.mail_network)
    address = _to_address(ctx, email_key, kind)
    counted = await ctx.store.hit([*network, address], now=ctx.now)
    try:
        refuse_over(counted, network, now=ctx.now)
    except TooManyRequests:
        # Whoever goes on after a 429 shall not use up what the address may get.
        await ctx.store.give_back([address], now=ctx.now)
        raise
    await check_room(ctx)
    return counted[address.key][0] <= address.limit.count


async def may_send(ctx: Context, email_key: str, *, kind: str) -> bool:
    """The same for somebody who is logged in and names an address that need not be theirs: only it is counted."""
    address = _to_address(ctx, email_key, kind)
    counted = await ctx.store.hit([address], now=ctx.now)
    return counted[address.key][0] <= address.limit.count


def _to_address(ctx: Context, email_key: str, kind: str) -> Hit:
    return Hit(f"mail address {kind}", email_key, ctx.settings.limits.mail_address)
