"""Registrations that tell nobody whether an address is taken: there is no user before its mail is confirmed."""

from typing import Any
from uuid import UUID

from propusk.context import Context, all_or_nothing
from propusk.errors import EmailTaken, InvalidToken
from propusk.events import EmailVerified, UserRegistered, publish
from propusk.mail.links import page_link
from propusk.mail.models import Letter, Mail
from propusk.mail.outbox import enqueue
from propusk.mail.render import shown_time
from propusk.one_time.consume import consume
from propusk.one_time.issue import issue, token_of
from propusk.one_time.models import OneTimeToken, Purpose
from propusk.one_time.queries import find_token, is_reserved, kill_tokens_about
from propusk.passwords.queries import insert_hash
from propusk.users.email_address import EmailAddress
from propusk.users.models import User
from propusk.users.queries import find_user_by
from propusk.users.register import create_user


async def begin_registration(
    ctx: Context, *, address: EmailAddress, hashed: str, name: str | None, profile: dict[str, Any]
) -> None:
    """Keep what somebody registers with until the mail to `address` is confirmed. Looks nobody up.

    Args:
        hashed: the hash of the password; it goes into the row of the token, never into the outbox.
        name, profile: checked.
    """
    token = await issue(
        ctx,
        Purpose.REGISTER,
        email_key=address.key,
        ttl=ctx.settings.verify_token_ttl,
        payload={"email": address.address, "hash": hashed, "name": name, "profile": profile, "ip": ctx.client.ip},
    )
    await enqueue(ctx, "register", token_id=str(token.id))


async def write_register(ctx: Context, mail: Mail) -> Letter | None:
    """The link that finishes a registration; or, to who has an account with this address, that somebody tried.

    What waits for an address that is taken is left to expire: its link is sent to nobody, and using it up here would
    tell, by a statement less at the sixth registration, that somebody has the address.
    """
    token = await find_token(ctx, UUID(mail.args["token_id"]))
    if token is None or token.used_at is not None or ctx.now >= token.expires_at:
        return None
    values = {"at": shown_time(token.created_at), "ip": token.payload["ip"] or "unknown"}
    owner = await find_user_by(ctx, "email", token.email_key)
    if owner is not None:
        template = "already_registered"
        return Letter(to=owner.email, template=template, language=owner.locale, values=values, user_id=owner.id)
    if await is_reserved(ctx, token.email_key):
        return Letter(to=token.payload["email"], template="already_registered", values=values)
    link = page_link(ctx.settings, "verify-email", token_of(ctx, token))
    values |= {"link": link, "use_by": shown_time(token.expires_at)}
    return Letter(to=token.payload["email"], template="register", values=values, use_by=token.expires_at)


async def finish_registration(ctx: Context, token: OneTimeToken) -> User:
    """Make the user who waits in a token of the purpose REGISTER; others that wait for the address die.

    Raises:
        InvalidToken: it was used a moment ago.
        EmailTaken: the address was taken meanwhile.
    """
    fields = token.payload
    # The user first: two registrations of one address wait for each other here, and not over their tokens.
    try:
        async with all_or_nothing(ctx):
            user = await create_user(
                ctx, email=fields["email"], name=fields["name"], profile=fields["profile"], is_verified=True
            )
            await consume(ctx, token)
    except EmailTaken:
        if (current := await find_token(ctx, token.id)) is None or current.used_at is not None:
            raise InvalidToken from None
        raise
    await insert_hash(ctx, user.id, fields["hash"])
    await kill_tokens_about(ctx, token.email_key, Purpose.REGISTER)
    await publish(ctx, UserRegistered(user_id=user.id, actor_id=user.id))
    await publish(ctx, EmailVerified(user_id=user.id, actor_id=user.id, detail="link"))
    return user
