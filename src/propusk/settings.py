"""Every setting: its name, type, default and a line of what it means. Values only; nothing here has an effect.

`Settings(...)` takes values from the caller alone; `Settings.from_env()` reads the environment (`PROPUSK_…`), `.env`
and `propusk.toml`, in this order of precedence.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableSource

from propusk.setting_groups import Algorithm, LimitSettings, PasswordSettings
from propusk.setting_mail import MailServer, MailUrl, SenderText, parse_mail_url
from propusk.setting_redis import RedisServer, RedisUrl, parse_redis_url
from propusk.setting_types import NOT_EMPTY, Duration, Life, Listed, Networks, PublicUrl, at_most, split_list

__all__ = ["Algorithm", "LimitSettings", "PasswordSettings", "Settings", "SettingsError"]

PREFIX = "PROPUSK_"
_INJECTED_BY_KUBERNETES = ("PROPUSK_SERVICE_", "PROPUSK_PORT")


class SettingsError(Exception):
    """The settings cannot be used. The text names each fault, one a line."""


class Settings(BaseModel):
    """What an operator may choose. Frozen; secrets print masked."""

    # What is refused may be a secret, or hold one.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Literal["development", "production"] = Field(
        default="development", description="production refuses to start with anything unsafe"
    )
    public_url: PublicUrl = Field(
        default="http://127.0.0.1:8000", description="what links and the issuer are built from; never the Host header"
    )
    data_dir: Annotated[Path, NOT_EMPTY] = Field(
        default=Path("propusk-data"), description="SQLite file, generated keys, local mailbox"
    )
    database_url: SecretStr | None = Field(
        default=None, description="sqlite:///…, postgresql://… or mysql://…; by default SQLite in data_dir"
    )
    database_connections: int = Field(
        default=15, ge=5, le=1000, description="most connections of one worker process to the database"
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        description="redis://host:6379/0, redis+sentinel://host,host2/service/0, redis+cluster://host,host2; rediss for"
        " TLS; counts attempts instead of the database, which does so while Redis is away",
    )
    secret_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(split_list)] = Field(
        default=[],
        description="32 characters or more each, newest first, by commas; generated into data_dir in development",
    )
    signing_key_file: Annotated[Path | None, NOT_EMPTY] = Field(
        default=None, description="private keys as PEM (PKCS#8), newest first; generated into data_dir in development"
    )
    audience: Annotated[str | None, NOT_EMPTY] = Field(
        default=None, description="aud of our access tokens; public_url by default"
    )
    introspection_clients: Listed[str] = Field(
        default=[], description="clients that may introspect, by commas: id:SHA-256 of the secret in hex"
    )
    mail_url: MailUrl | None = Field(
        default=None,
        description="smtp://user:password@host:587?security=starttls (or tls, none); by default mails are kept in"
        " data_dir, to be read in a local mailbox",
    )
    mail_from: SenderText | None = Field(
        default=None, description="sender of our mails, an address or Name <address>; needed with mail_url"
    )
    registration: Literal["open", "closed"] = Field(default="open", description="closed: only superusers create users")
    private_registration: bool = Field(
        default=False,
        description="registering tells nobody whether an address is taken: there is no user before the mail",
    )
    require_verified_email: bool = Field(default=False, description="who has not verified their address cannot log in")
    verify_token_ttl: Life = Field(default=timedelta(hours=24), description="life of the links that verify an address")
    reset_token_ttl: Life = Field(default=timedelta(hours=1), description="life of the links that reset a password")
    email_undo_ttl: Life = Field(default=timedelta(hours=72), description="how long a changed address can be restored")
    unverified_user_ttl: Life | None = Field(
        default=None, description="users that never verified are deleted after this"
    )
    access_token_ttl: Life = Field(default=timedelta(minutes=10), description="life of an access token")
    refresh_token_ttl: Life = Field(default=timedelta(days=30), description="a session unused for so long ends")
    session_max_age: Life = Field(default=timedelta(days=180), description="a session ends after so long, used or not")
    refresh_grace: Annotated[
        Duration, at_most(timedelta(hours=1), "for so long nobody sees that a used token was stolen")
    ] = Field(
        default=timedelta(seconds=10),
        description="how long a used refresh token is answered with the same successor; at most 1h",
    )
    token_algorithm: Algorithm = Field(default=Algorithm.EDDSA, description="EdDSA, ES256, RS256 (3072 bits) or HS256")
    token_encryption: bool = Field(default=False, description="access tokens are encrypted (nested JWE)")
    trusted_proxies: Networks = Field(
        default=[], description="networks whose X-Forwarded-For and Forwarded are believed, by commas"
    )
    jobs_inline: bool = Field(
        default=True, description="run jobs inside the service; else run propusk worker beside it"
    )
    metrics: bool = Field(default=False, description="serve /metrics")
    metrics_token: Annotated[SecretStr | None, NOT_EMPTY] = Field(
        default=None, description="who scrapes /metrics sends this as a bearer token"
    )
    templates_dir: Annotated[Path | None, NOT_EMPTY] = Field(
        default=None, description="your own mail templates; what is missing there is ours"
    )
    workers: int = Field(default=1, ge=1, le=256, description="processes of propusk serve")
    shutdown_delay: Annotated[Duration, at_most(timedelta(hours=1), "nobody waits that long for us to stop")] = Field(
        default=timedelta(0), description="/readyz is red so long before SIGTERM ends us; at most 1h"
    )
    max_sessions_per_user: int = Field(default=100, ge=1, le=10_000, description="one more, and the oldest ends")
    login_floor: Annotated[Duration, at_most(timedelta(seconds=5), "a request is given up after 10")] = Field(
        default=timedelta(0),
        description="a failed login answers no earlier than this; at most 5s. With imported hashes: more than"
        " twice what the slowest of them takes",
    )
    default_locale: Literal["en", "ru"] = Field(default="en", description="language for those who name none")
    password: PasswordSettings = Field(default=PasswordSettings(), description="password rules")
    limits: LimitSettings = Field(default=LimitSettings(), description="rate limits")

    @field_validator("introspection_clients")
    @classmethod
    def _check_clients(cls, value: list[str]) -> list[str]:
        for pair in value:
            if not re.fullmatch(r"[A-Za-z0-9._~-]{1,100}:[0-9a-fA-F]{64}", pair):
                raise ValueError("each is an id, a colon and the SHA-256 of the secret in hex")
        return value

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: list[SecretStr]) -> list[SecretStr]:
        if any(len(key.get_secret_value()) < 32 for key in value):
            raise ValueError("each key needs at least 32 characters; make one with: openssl rand -base64 48")
        if len({key.get_secret_value() for key in value}) < len(value):
            raise ValueError("the same key stands there twice")
        return value

    @model_validator(mode="after")
    def _check_lives(self) -> Self:
        if self.refresh_token_ttl > self.session_max_age:
            raise ValueError("refresh_token_ttl may not be longer than session_max_age")
        return self

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.mail_url is not None and self.mail_from is None:
            raise ValueError("mail_from is needed with mail_url: who our mails are from")
        return self

    @property
    def mail_server(self) -> MailServer | None:
        """What `mail_url` says; None for the local mailbox."""
        return parse_mail_url(self.mail_url.get_secret_value()) if self.mail_url is not None else None

    @property
    def redis_server(self) -> RedisServer | None:
        """What `redis_url` says."""
        return parse_redis_url(self.redis_url.get_secret_value()) if self.redis_url is not None else None

    @property
    def token_audience(self) -> str:
        """`aud` of our access tokens."""
        return self.audience or self.public_url

    @property
    def origin(self) -> str:
        """Scheme, host and port of `public_url`, as browsers write them in `Origin` (RFC 6454, section 6.1)."""
        parts = urlsplit(self.public_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        default = {"http": 80, "https": 443}[parts.scheme]
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over TLS: decides the cookies' names and flags."""
        return self.public_url.startswith("https://")

    @classmethod
    def from_env(cls, defaults: Mapping[str, Any] | None = None, **overrides: Any) -> "Settings":
        """Settings from the environment, `.env` and `propusk.toml`.

        Args:
            defaults: values in the place of ours where none of the three says anything, by the names of the fields.
            overrides: values that win over all three.
        Raises:
            SettingsError: a value is invalid or a name is unknown; the text names each.
        """
        unknown = unknown_names(os.environ) + unknown_names(dotenv_values(".env"))
        if unknown:
            raise SettingsError("\n".join(f"{name}: no such setting" for name in dict.fromkeys(unknown)))
        try:
            return _reader(defaults or {})(**overrides)
        except ValidationError as error:
            raise SettingsError(describe_faults(error)) from None
        except UnreadableSource as error:
            raise SettingsError(_no_json(error)) from None
        except (TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"propusk.toml: not TOML: {error}") from None


def unknown_names(environment: Mapping[str, str | None]) -> list[str]:
    """Names that start with `PROPUSK_` and are no setting: pydantic-settings overlooks these, a typo must not be."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    groups = {"PASSWORD": PasswordSettings, "LIMITS": LimitSettings}
    known |= {f"{PREFIX}{name}__{field.name.upper()}" for name, cls in groups.items() for field in fields(cls)}
    return [
        name
        for name in environment
        if name.upper().startswith(PREFIX)
        and name.upper() not in known
        and not name.upper().startswith(_INJECTED_BY_KUBERNETES)
    ]


def describe_faults(error: ValidationError) -> str:
    """One line a fault, naming the setting and never its value."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in fault["loc"]) or "settings"
        lines.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _no_json(error: UnreadableSource) -> str:
    """A group that was given as a whole, which pydantic-settings wants as JSON; it alone says which, in its text."""
    named = re.search(r'field "(\w+)"', str(error))
    if named is None:
        return str(error)
    return f"{named[1]}: set what is in it one by one, as {PREFIX}{named[1].upper()}__…, or all of it as JSON"


class _FromEnv(BaseSettings, Settings):
    defaults: ClassVar[Mapping[str, Any]] = {}
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        dotenv_filtering="match_prefix",
        toml_file="propusk.toml",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        last = InitSettingsSource(settings_cls, dict(settings_cls.defaults))  # type: ignore[attr-defined]
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls), last


def _reader(given: Mapping[str, Any]) -> type[_FromEnv]:
    class WithDefaults(_FromEnv):
        defaults = given

    return WithDefaults
