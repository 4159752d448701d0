"""Issue the pair of tokens of a session."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from propusk.context import Context
from propusk.crypto import jwt
from propusk.crypto.secrets import SecretKey, b64url
from propusk.errors import Unavailable
from propusk.sessions.models import Session
from propusk.tokens.refresh_token import make_refresh_token
from propusk.users.models import User


@dataclass(frozen=True)
class TokenPair:
    """What a login or refresh hands out; lives in seconds. The tokens do not print. `refresh_token` is None where the
    host wants none.
    """

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str | None = field(repr=False)
    refresh_expires_in: int
    session: Session
    user: User


def issue_tokens(ctx: Context, session: Session, user: User, *, key: SecretKey) -> TokenPair:
    """The access token (RFC 9068) and the current refresh token of a session.

    Args:
        key: the secret key that the session's row names for its refresh token.
    Raises:
        Unavailable: this process has no key to sign with.
        ValueError: the host's claims may not be set, or make a token that is too long for anybody to read.
    """
    left = session.seconds_left(ctx.now)
    # The last access token never outlives the session.
    lives = min(ctx.settings.access_token_ttl // timedelta(seconds=1), left)
    issued = int(ctx.now.timestamp())
    claims: dict[str, Any] = {
        "iss": ctx.settings.public_url,
        "aud": ctx.settings.token_audience,
        "client_id": ctx.settings.token_audience,
        "sub": str(user.id),
        "sid": str(session.id),
        "jti": b64url(ctx.entropy(16)),
        "iat": issued,
        "exp": issued + lives,
    }
    claims = with_own_claims(ctx, user, claims)
    try:
        access = jwt.encode(ctx.keyring, claims, ctx.now, encrypt=ctx.settings.token_encryption)
    except jwt.NoSigningKey:
        raise Unavailable("There is no key to sign tokens with; the operator knows where to look.") from None
    if len(access) > jwt.MAX_LENGTH:
        raise ValueError(
            f"create_auth(claims=...) makes an access token of {len(access)} characters; {jwt.MAX_LENGTH} are read"
        )
    refresh = None
    if ctx.host.refresh_tokens:
        refresh = make_refresh_token(
            key, session_id=session.id, counter=session.refresh_counter, seed=session.refresh_seed
        )
    return TokenPair(access, lives, refresh, left, session, user)


def with_own_claims(ctx: Context, user: User, claims: dict[str, Any]) -> dict[str, Any]:
    """The claims, and the host's own beside them.

    Raises:
        ValueError: the host names a claim that is ours, or one that RFC 7519 or RFC 9068 registers for the issuer.
    """
    own = dict(ctx.host.claims(user)) if ctx.host.claims is not None else {}
    if clash := own.keys() & (claims.keys() | {"nbf", "auth_time", "active", "token_type"}):
        raise ValueError(f"create_auth(claims=...) may not set {', '.join(sorted(clash))}")
    return own | claims
