"""Use up a single-use token."""

from propusk.context import Context
from propusk.errors import ExpiredToken, InvalidToken
from propusk.one_time import queries
from propusk.one_time.issue import PREFIX, digest, is_token
from propusk.one_time.models import OneTimeToken, Purpose

_LENGTH = len(PREFIX) + 43


async def read_token(ctx: Context, text: str, *purposes: Purpose) -> OneTimeToken:
    """The token that `text` is, if it can be used for one of `purposes`. Uses nothing up.

    Raises:
        InvalidToken: no such token, it was used, or its secret key is gone; ExpiredToken: it was good once.
    """
    if len(text) != _LENGTH or not text.isascii():
        raise InvalidToken
    token = await queries.find_by_digest(ctx, digest(text))
    if token is None or token.purpose not in purposes or token.used_at is not None:
        raise InvalidToken
    if not is_token(ctx, text, token):
        raise InvalidToken
    if ctx.now >= token.expires_at:
        raise ExpiredToken
    return token


async def consume(ctx: Context, token: OneTimeToken) -> None:
    """Use `token` up. Of several who do so at once, one succeeds.

    Raises:
        InvalidToken: somebody else did a moment ago.
    """
    if not await queries.claim_token(ctx, token.id):
        raise InvalidToken
