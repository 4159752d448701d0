"""Make a single-use token, and tell it again from its row."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from propusk.context import Context
from propusk.crypto.secrets import SecretKey, b64url, new_id
from propusk.one_time import queries
from propusk.one_time.models import OneTimeToken, Purpose

PREFIX = "pot1_"
MOST_LIVE = 5
"""Of one user and purpose; one more, and the oldest dies."""


async def issue(
    ctx: Context,
    purpose: Purpose,
    *,
    email_key: str,
    ttl: timedelta,
    user_id: UUID | None = None,
    payload: dict[str, Any] | None = None,
    token_id: UUID | None = None,
    created_at: datetime | None = None,
) -> OneTimeToken:
    """Make a token; `token_of` tells what it is.

    Args:
        email_key: the address it is about.
        ttl: how long it can be used.
        user_id: whose it is; None for who is no user yet.
        token_id: by default a new one. Made twice, a token is the same: a mail that is written again after a crash
            carries the same link.
        created_at: what says which of several is later; by default now.
    Raises:
        LookupError: the database refused it though it has none of this id.
    """
    chosen = token_id or new_id(ctx.now, ctx.entropy)
    token = OneTimeToken(
        id=chosen,
        purpose=purpose,
        user_id=user_id,
        email_key=email_key,
        digest=digest(_token(ctx.keyring.secrets.newest, purpose, chosen)),
        payload=payload or {},
        created_at=created_at or ctx.now,
        expires_at=ctx.now + ttl,
        used_at=None,
    )
    if not await queries.insert_token(ctx, token):
        found = await queries.find_token(ctx, chosen)
        if found is None:
            raise LookupError("a single-use token was neither made nor there")
        return found
    # An undo is never displaced: whoever holds the account could do that to its owner's.
    if purpose is not Purpose.UNDO_EMAIL:
        await queries.kill_surplus(ctx, token, keep=MOST_LIVE)
    return token


def token_of(ctx: Context, token: OneTimeToken) -> str:
    """The token itself, computed: only its digest is stored.

    Raises:
        LookupError: it was made with a secret key that we have no more.
    """
    for key in ctx.keyring.secrets.keys:
        text = _token(key, token.purpose, token.id)
        if hmac.compare_digest(digest(text), token.digest):
            return text
    raise LookupError("a single-use token was made with a secret key that is gone")


def is_token(ctx: Context, text: str, token: OneTimeToken) -> bool:
    """Whether `text` is this token, made with a secret key that we have: with the key that made them, links die."""
    made = (_token(key, token.purpose, token.id) for key in ctx.keyring.secrets.keys)
    return any(hmac.compare_digest(text, one) for one in made)


def _token(key: SecretKey, purpose: Purpose, token_id: UUID) -> str:
    mac = hmac.digest(key.derive(f"one-time/{purpose}"), token_id.bytes, hashlib.sha256)
    return PREFIX + b64url(mac)


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()
