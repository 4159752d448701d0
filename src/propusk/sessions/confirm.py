"""Make sure, before the writes of a request that waited, that it still may."""

from propusk.context import Context
from propusk.errors import Forbidden, InvalidAccessToken
from propusk.sessions.models import Principal, is_live
from propusk.sessions.queries import claim_user, find_current_session, find_current_user
from propusk.users.queries import lock_superusers


async def confirm(ctx: Context, principal: Principal, *, superuser: bool = False) -> None:
    """Lock the calling user and their session, which were read before something slow: a hash, say.

    Whoever ends sessions, deactivates or demotes writes the same row, so they are either seen here or wait for us. It
    also sets one order of locks for all: the user, the session, the password.

    Args:
        superuser: the request needs one.
    Raises:
        InvalidAccessToken: the session has ended meanwhile.
        Forbidden: the user is a superuser no more.
    """
    claimed = await claim_user(ctx, principal.user.id, epoch=principal.session.epoch)
    session = await find_current_session(ctx, principal.session.id) if claimed else None
    user = await find_current_user(ctx, principal.user.id) if claimed else None
    if session is None or user is None or not is_live(session, user, ctx.now):
        raise InvalidAccessToken
    if superuser and not user.is_superuser:
        raise Forbidden


async def confirm_superuser(ctx: Context, principal: Principal) -> None:
    """The same for a superuser, before they change somebody else: whoever demotes them is seen, or waits.

    Raises:
        InvalidAccessToken, Forbidden
    """
    # Two superusers who change each other would wait for each other.
    await lock_superusers(ctx)
    await confirm(ctx, principal, superuser=True)
