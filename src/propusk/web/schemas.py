"""What goes over the wire, in the shapes of the contract."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from propusk.sessions.device import describe_device
from propusk.sessions.models import Session
from propusk.tokens.issue import TokenPair
from propusk.users.models import User
from propusk.web import examples

Time = Annotated[
    datetime,
    PlainSerializer(lambda at: at.isoformat().replace("+00:00", "Z"), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-21T09:30:00.123456Z"]}),
]
Email = Annotated[str, Field(json_schema_extra={"format": "email", "maxLength": 254, "examples": ["ada@example.com"]})]
NEW_PASSWORD = "{} to 256 characters; no well-known password, nor one built from one's own names."
NewPassword = Annotated[
    str,
    Field(
        json_schema_extra={
            "format": "password",
            "minLength": 8,
            "maxLength": 256,
            "examples": [examples.PASSWORD],
        },
        description=NEW_PASSWORD.format(8),  # the document has the number of the settings
    ),
]
Password = Annotated[str, Field(json_schema_extra={"format": "password", "examples": [examples.PASSWORD]})]
LinkToken = Annotated[
    str,
    Field(
        description="What the link in the mail has as its `token`.", json_schema_extra={"examples": [examples.ONE_TIME]}
    ),
]
Username = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Za-z0-9._-]{3,32}$", "examples": ["ada"]})]
Name = Annotated[
    str,
    Field(
        json_schema_extra={
            "maxLength": 200,
            "pattern": r"^[^\u0000-\u001F\u007F-\u009F]*$",
            "examples": ["Ada Lovelace"],
        }
    ),
]
Locale = Annotated[
    str,
    Field(json_schema_extra={"pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", "examples": ["en", "ru-RU"]}),
]
Profile = Annotated[dict[str, Any], Field(description="Anything, up to 4 KiB as JSON; never read for decisions.")]


def absent(value: Any) -> Any:
    """A field that may be left out but not be null. `value` is never used: only what was sent is read."""
    return Field(default_factory=lambda: value)  # a factory, so that the schema shows no default


class Body(BaseModel):
    """A request body: every field of its exact type, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def __repr__(self) -> str:
        """Bodies hold passwords and tokens, so they do not print."""
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def shown(*values: Any) -> ConfigDict:
    """The configuration of a model with examples in the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": list(values)})


class UserOut(Answer):
    """A user."""

    model_config = shown(examples.USER)

    id: UUID
    email: str
    username: str | None
    name: str | None
    is_active: bool
    is_verified: bool
    is_superuser: bool
    locale: str | None
    profile: dict[str, Any]
    created_at: Time
    updated_at: Time
    last_login_at: Time | None

    @classmethod
    def of(cls, user: User) -> "UserOut":
        return cls.model_validate(user)


class UserPage(Answer):
    """A page of users, newest first."""

    model_config = shown({"items": [examples.USER], "next_cursor": None})

    items: list[UserOut]
    next_cursor: str | None


class SessionOut(Answer):
    """A session, as its owner sees it."""

    model_config = shown(examples.SESSION)

    id: UUID
    created_at: Time
    last_seen_at: Time
    expires_at: Time
    ip: str | None
    user_agent: str
    device: str
    current: bool

    @classmethod
    def of(cls, session: Session, current: UUID | None) -> "SessionOut":
        return cls(
            id=session.id,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            expires_at=session.lapses_at,
            ip=session.ip,
            user_agent=session.user_agent,
            device=describe_device(session.user_agent),
            current=session.id == current,
        )


class SessionPage(Answer):
    """A page of live sessions, newest first."""

    model_config = shown({"items": [examples.SESSION], "next_cursor": None})

    items: list[SessionOut]
    next_cursor: str | None


class Tokens(Answer):
    """What a login or refresh answers to a bearer (RFC 6749, section 5.1)."""

    model_config = shown(examples.TOKENS)

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Life of the access token in seconds.")
    refresh_token: str
    refresh_expires_in: int = Field(description="Life of the refresh token in seconds.")
    session_id: UUID

    @classmethod
    def of(cls, pair: TokenPair) -> "Tokens":
        """The tokens; an empty refresh token where the host wants none, to be left out."""
        return cls(
            access_token=pair.access_token,
            token_type="bearer",
            expires_in=pair.expires_in,
            refresh_token=pair.refresh_token or "",
            refresh_expires_in=pair.refresh_expires_in,
            session_id=pair.session.id,
        )


class CookieLogin(Answer):
    """What a login or refresh answers to a browser; the tokens are in cookies that no script can read."""

    model_config = shown(examples.COOKIE_LOGIN)

    session_id: UUID
    expires_in: int
    user: UserOut

    @classmethod
    def of(cls, pair: TokenPair) -> "CookieLogin":
        return cls(session_id=pair.session.id, expires_in=pair.expires_in, user=UserOut.of(pair.user))


class Revoked(Answer):
    """How many sessions were ended."""

    model_config = shown({"revoked": 3})

    revoked: int


class Introspection(Answer):
    """RFC 7662, section 2.2. Only `active` is there for a token that is not; no `aud` and `jti` for a refresh token."""

    model_config = shown(examples.INTROSPECTION, {"active": False})

    active: bool
    token_type: Literal["access_token", "refresh_token"] = absent(None)
    iss: str = absent("")
    aud: str = absent("")
    client_id: str = absent("")
    sub: str = absent("")
    sid: str = absent("")
    jti: str = absent("")
    iat: int = absent(0)
    exp: int = absent(0)


class KeySet(Answer):
    """A JWK set (RFC 7517, section 5)."""

    model_config = shown(examples.KEY_SET)

    keys: list[dict[str, Any]]


class Health(Answer):
    """It is well."""

    model_config = shown({"status": "ok"})

    status: Literal["ok"] = "ok"


class Readiness(Health):
    """It is well. `redis` is there with `redis_url`; while it is `away`, the database counts attempts."""

    model_config = shown({"status": "ok", "redis": "ok"}, {"status": "ok"})

    redis: Literal["ok", "away"] = absent("ok")
