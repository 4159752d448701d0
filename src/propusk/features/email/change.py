"""Ask for another e-mail address, and confirm it from there."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from propusk.context import Context, all_or_nothing
from propusk.errors import EmailTaken, InvalidToken, TooManyRequests, invalid
from propusk.events import EmailChanged, EmailChangeRequested, UserDeactivated, UserUpdated, publish
from propusk.features.email.queries import claim_address
from propusk.mail.outbox import enqueue
from propusk.mail.strangers import may_send
from propusk.one_time.consume import consume, read_token
from propusk.one_time.issue import MOST_LIVE, issue
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import extend_token, find_newest, is_reserved, kill_tokens, list_live
from propusk.passwords.prove import prove_password
from propusk.sessions.confirm import confirm
from propusk.sessions.device import describe_device
from propusk.sessions.models import Principal
from propusk.store import Hit, by_network, check_limits
from propusk.users.change import check_email_free
from propusk.users.email_address import EmailAddress, normalise_email
from propusk.users.models import User
from propusk.users.queries import find_user

_MOMENT = timedelta(microseconds=1)
"""The least that the databases tell apart."""


async def request_email_change(ctx: Context, *, principal: Principal, new_email: str, password: str) -> None:
    """Send a link to the new address, and one to take it back to the old. An earlier change that waits dies.

    Whether the new address is anybody's is not looked up before it is confirmed.

    Raises:
        InvalidInput: no address, or the one that the user has.
        WrongPassword
        InvalidAccessToken: the session has ended meanwhile.
        TooManyRequests: wrong passwords, or too many undos that still work: none of them may be displaced.
        Overloaded
    """
    _check_other(normalise_email(new_email, field="new_email"), principal.user)
    await prove_password(ctx, principal=principal, password=password)
    await propose_email(ctx, principal=principal, new_email=new_email)


async def may_propose_email(ctx: Context, *, new_email: str) -> bool:
    """Count a change to this address; False when nothing more is to be sent there for now.

    For use cases that write something before `propose_email`: it is counted beside the transaction, and SQLite has one
    writer.

    Raises:
        InvalidInput: no address.
    """
    return await may_send(ctx, normalise_email(new_email, field="new_email").key, kind="confirm_email")


async def check_proposed_email(ctx: Context, *, principal: Principal, new_email: str) -> None:
    """Refuse an address that is somebody's, for hosts whose route says so at once. Call it before the first write.

    Who asks learns who has an account, as who registers does: so each user may ask only so often, in all their sessions
    together, and each network as often as it may register. With `private_registration` nothing is looked up: confirming
    decides.

    Raises:
        InvalidInput: no address.
        EmailTaken: another user has it, or may take it back.
        TooManyRequests
    """
    key = normalise_email(new_email, field="new_email").key
    if ctx.settings.private_registration or key == principal.user.email_key:
        return
    name, limits, user_id = "taken addresses", ctx.settings.limits, principal.user.id
    by_user = Hit(name, str(user_id), limits.login_account)
    await check_limits(ctx.store, [by_user, *by_network(name, ctx.client.network, limits.register)], now=ctx.now)
    await check_email_free(ctx, key, user_id=user_id)


async def propose_email(ctx: Context, *, principal: Principal, new_email: str, allowed: bool | None = None) -> None:
    """The same without the password, for hosts whose route does not ask for it: have it ask for a recent login.

    Args:
        allowed: what `may_propose_email` said before the first write; by default it is asked here.
    """
    address = normalise_email(new_email, field="new_email")
    _check_other(address, principal.user)
    if allowed is None:
        allowed = await may_propose_email(ctx, new_email=new_email)
    if not allowed:
        return
    await confirm(ctx, principal)
    user = await find_user(ctx, principal.user.id)
    if user is None:  # pragma: no cover (its row is locked)
        raise InvalidToken
    _check_other(address, user)
    change, undo = await _issue_both(ctx, user, address)
    await enqueue(ctx, "confirm_email", user_id=user.id, token_id=str(change.id))
    await enqueue(
        ctx,
        "email_change_requested",
        asked=False,
        user_id=user.id,
        token_id=str(undo.id),
        new_email_masked=mask(address.key),
        ip=ctx.client.ip,
        device=describe_device(ctx.client.user_agent),
    )
    event = EmailChangeRequested(user_id=user.id, actor_id=user.id, session_id=principal.session.id)
    await publish(ctx, event)


def _check_other(address: EmailAddress, user: User) -> None:
    if address.key == user.email_key:
        raise invalid("new_email", "unchanged", "This is the address that the account has.")


async def _issue_both(ctx: Context, user: User, address: EmailAddress) -> tuple[OneTimeToken, OneTimeToken]:
    """The link that confirms and the one that takes back; called with the row of the user locked."""
    undo = await _issue_undo(ctx, user)
    await kill_tokens(ctx, user.id, Purpose.CHANGE_EMAIL)
    change = await issue(
        ctx,
        Purpose.CHANGE_EMAIL,
        email_key=address.key,
        ttl=ctx.settings.verify_token_ttl,
        user_id=user.id,
        payload={"address": address.address, "old": user.email, "old_key": user.email_key, "undo": str(undo.id)},
    )
    return change, undo


async def _issue_undo(ctx: Context, user: User) -> OneTimeToken:
    """The link that takes back. A request that was never confirmed leaves its own to the next."""
    undos, ttl = await list_live(ctx, user.id, Purpose.UNDO_EMAIL), ctx.settings.email_undo_ttl
    # Had its change been confirmed, the address could only be the user's again by a later one, whose undo is newer.
    if undos and undos[-1].email_key == user.email_key:
        await extend_token(ctx, undos[-1].id, until=ctx.now + ttl)
        return undos[-1]
    if len(undos) >= MOST_LIVE:
        raise TooManyRequests(min(undo.expires_at for undo in undos) - ctx.now)
    return await _make_undo(ctx, user.id, address=user.email, email_key=user.email_key)


async def _make_undo(
    ctx: Context, user_id: UUID, *, address: str, email_key: str, token_id: UUID | None = None
) -> OneTimeToken:
    """One that is later than the user's others, also when the clock was set back since they were made: an undo takes
    back what is later than itself, so the order is who wins. Called with the row of the user locked.
    """
    newest = await find_newest(ctx, user_id, Purpose.UNDO_EMAIL)
    return await issue(
        ctx,
        Purpose.UNDO_EMAIL,
        email_key=email_key,
        ttl=ctx.settings.email_undo_ttl,
        user_id=user_id,
        payload={"address": address},
        token_id=token_id,
        created_at=max(ctx.now, newest + _MOMENT) if newest else ctx.now,
    )


def mask(email_key: str) -> str:
    """`g***@e***.com`: enough to know one's own by, and nothing that somebody could have written to be read."""
    local, _, domain = email_key.rpartition("@")
    return f"{local[0]}***@{domain[0]}***.{domain.rpartition('.')[2]}"


async def confirm_email(ctx: Context, *, token: str) -> User:
    """Give the user the address that the token was sent to. Sessions go on; links sent to the old address die, but
    for its undo, which counts from now.

    Raises:
        InvalidToken: used, overtaken by another change, or of a deactivated or deleted user; ExpiredToken
        EmailTaken: meanwhile somebody else took it, or may take it back.
    """
    found = await read_token(ctx, token, Purpose.CHANGE_EMAIL)
    user = await find_user(ctx, found.user_id) if found.user_id else None
    new, old_key = found.payload["address"], found.payload["old_key"]
    if user is None:
        raise InvalidToken
    async with all_or_nothing(ctx):
        if not await claim_address(ctx, user.id, address=new, email_key=found.email_key, instead_of=old_key):
            raise InvalidToken
        # After the update, which waited for whoever was giving the address up.
        if await is_reserved(ctx, found.email_key, user_id=user.id):
            raise EmailTaken
        await consume(ctx, found)
    await kill_tokens(ctx, user.id, Purpose.CHANGE_EMAIL, Purpose.VERIFY, Purpose.RESET)
    await _keep_undo(ctx, found, user.id)
    await enqueue(ctx, "email_changed", asked=False, user_id=user.id, token_id=found.payload["undo"])
    await publish(ctx, EmailChanged(user_id=user.id, actor_id=user.id))
    return replace(user, email=new, email_key=found.email_key, is_verified=True, updated_at=ctx.now)


async def _keep_undo(ctx: Context, change: OneTimeToken, user_id: UUID) -> None:
    """Let the undo of the request work as long again from now. It is made anew if it was cleaned up meanwhile."""
    undo_id, old = UUID(change.payload["undo"]), change.payload
    if not await extend_token(ctx, undo_id, until=ctx.now + ctx.settings.email_undo_ttl):
        await _make_undo(ctx, user_id, address=old["old"], email_key=old["old_key"], token_id=undo_id)


async def void_changes(ctx: Context, event: UserUpdated) -> None:
    """An administrator chose the address: nothing that waits may change it, nor any undo, which a thief may hold. The
    old address hears of it.
    """
    if event.user_id is not None and event.old_email is not None:
        await kill_tokens(ctx, event.user_id, Purpose.VERIFY, Purpose.CHANGE_EMAIL, Purpose.UNDO_EMAIL)
        await enqueue(ctx, "email_replaced", asked=False, user_id=event.user_id, address=event.old_email)


async def void_links(ctx: Context, event: UserDeactivated) -> None:
    """Links from before stay dead should the account be opened again; but an owner who was robbed keeps the undo."""
    if event.user_id is not None:
        await kill_tokens(ctx, event.user_id, Purpose.VERIFY, Purpose.CHANGE_EMAIL)
