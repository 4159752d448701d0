"""Every setting: its name, type, default and a line of what it means. Values only; nothing here has an effect.

`Settings(...)` takes values from the caller alone; `Settings.from_env()` reads the environment (`PROPUSK_…`), `.env`
and `propusk.toml`, in this order of precedence.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import pydantic.dataclasses
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
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableSource

from propusk.setting_types import Duration, Limit, LimitSetting, Listed, Network, check_port, in_ascii, split_list

PREFIX = "PROPUSK_"
_INJECTED_BY_KUBERNETES = ("PROPUSK_SERVICE_", "PROPUSK_PORT")


class SettingsError(Exception):
    """The settings cannot be used. The text names each fault, one a line."""


class Algorithm(StrEnum):
    """Signature algorithms of access tokens (RFC 7518, RFC 8037)."""

    EDDSA = "EdDSA"
    ES256 = "ES256"
    RS256 = "RS256"
    HS256 = "HS256"


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PasswordSettings:
    """What a password must be, and what hashing it costs."""

    min_length: int = Field(default=8, ge=8, le=256, description="shortest password that may be set, in characters")
    memory_kib: int = Field(default=19456, ge=8, description="Argon2id memory for one hash, in KiB")
    iterations: int = Field(default=3, ge=1, description="Argon2id passes over that memory")


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LimitSettings:
    """How often one may try: `count/window`."""

    login_pair: LimitSetting = Field(
        default=Limit(10, timedelta(minutes=15)), description="logins for one account from one network"
    )
    login_account: LimitSetting = Field(
        default=Limit(90, timedelta(days=1)),
        description="logins for one account over all networks without a session of it in the last 30 days",
    )
    login_network: LimitSetting = Field(
        default=Limit(100, timedelta(minutes=15)), description="logins from one network, whatever the account"
    )
    register: LimitSetting = Field(default=Limit(20, timedelta(hours=1)), description="registrations from one network")
    refresh: LimitSetting = Field(
        default=Limit(60, timedelta(minutes=1)),
        description="refreshes of one session; bad refresh tokens from one network",
    )


class Settings(BaseModel):
    """What an operator may choose. Frozen; secrets print masked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Literal["development", "production"] = Field(
        "development", description="production refuses to start with anything unsafe"
    )
    public_url: str = Field(
        "http://127.0.0.1:8000", description="what links and the issuer are built from; never the Host header"
    )
    data_dir: Path = Field(Path("propusk-data"), description="SQLite file, generated keys, local mailbox")
    database_url: SecretStr | None = Field(
        None, description="sqlite:///…, postgresql://… or mysql://…; by default SQLite in data_dir"
    )
    secret_key: Annotated[list[SecretStr], NoDecode, BeforeValidator(split_list)] = Field(
        [], description="32 characters or more each, newest first, by commas; generated into data_dir in development"
    )
    signing_key_file: Path | None = Field(
        None, description="private keys as PEM (PKCS#8), newest first; generated into data_dir in development"
    )
    audience: str | None = Field(None, min_length=1, description="aud of our access tokens; public_url by default")
    introspection_clients: Listed[str] = Field(
        [], description="clients that may introspect, by commas: id:SHA-256 of the secret in hex"
    )
    registration: Literal["open", "closed"] = Field("open", description="closed: only superusers create users")
    access_token_ttl: Duration = Field(timedelta(minutes=10), description="life of an access token")
    refresh_token_ttl: Duration = Field(timedelta(days=30), description="a session unused for so long ends")
    session_max_age: Duration = Field(timedelta(days=180), description="a session ends after so long, used or not")
    refresh_grace: Duration = Field(
        timedelta(seconds=10), description="how long a used refresh token is answered with the same successor"
    )
    token_algorithm: Algorithm = Field(Algorithm.EDDSA, description="EdDSA, ES256, RS256 (3072 bits) or HS256")
    token_encryption: bool = Field(False, description="access tokens are encrypted (nested JWE)")
    trusted_proxies: Annotated[list[Network], NoDecode, BeforeValidator(split_list)] = Field(
        [], description="networks whose X-Forwarded-For and Forwarded are believed, by commas"
    )
    workers: int = Field(1, ge=1, le=256, description="processes of propusk serve")
    max_sessions_per_user: int = Field(100, ge=1, le=10_000, description="one more, and the oldest ends")
    login_floor: Duration = Field(timedelta(0), description="a failed login answers no earlier than this; at most 5s")
    default_locale: Literal["en", "ru"] = Field("en", description="language for those who name none")
    password: PasswordSettings = Field(PasswordSettings(), description="password rules")
    limits: LimitSettings = Field(LimitSettings(), description="rate limits")

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("an absolute http or https URL is needed")
        if parts.query or parts.fragment:
            raise ValueError("no query and no fragment, please")
        check_port(parts)
        if not value.isascii():
            parts = in_ascii(parts)
        return parts.geturl().rstrip("/")

    @field_validator("login_floor")
    @classmethod
    def _check_floor(cls, value: timedelta) -> timedelta:
        if value > timedelta(seconds=5):
            raise ValueError("at most 5s: a request is given up after 10")
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse_networks(cls, value: object) -> object:
        value = split_list(value)  # this runs before the validators of the annotation
        return [ip_network(v) if isinstance(v, str) else v for v in value] if isinstance(value, list) else value

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
        for name in ("access_token_ttl", "refresh_token_ttl", "session_max_age"):
            if getattr(self, name) < timedelta(seconds=1):
                raise ValueError(f"{name} must be at least 1s")
        if self.refresh_token_ttl > self.session_max_age:
            raise ValueError("refresh_token_ttl may not be longer than session_max_age")
        return self

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

    def unsafe_in_production(self) -> list[str]:
        """What must not be so when `environment` is `production`, a sentence each."""
        found = []
        if not self.secure:
            found.append("public_url must be https")
        if not self.secret_key:
            found.append("secret_key must be given, not generated")
        if any(_looks_like_a_sample(key.get_secret_value()) for key in self.secret_key):
            found.append("secret_key looks like a sample; make one with: openssl rand -base64 48")
        if self.signing_key_file is None and self.token_algorithm is not Algorithm.HS256:
            found.append("signing_key_file must be given, not generated")
        if self.password.memory_kib < 19456 or self.password.iterations < 2:
            found.append("password.memory_kib and password.iterations must be at least 19456 and 2")
        return found

    @classmethod
    def from_env(cls, **overrides: Any) -> "Settings":
        """Settings from the environment, `.env` and `propusk.toml`.

        Args:
            overrides: values that win over all three, by the names of the fields.
        Raises:
            SettingsError: a value is invalid or a name is unknown; the text names each.
        """
        unknown = unknown_names(os.environ) + unknown_names(dotenv_values(".env"))
        if unknown:
            raise SettingsError("\n".join(f"{name}: no such setting" for name in dict.fromkeys(unknown)))
        try:
            return _FromEnv(**overrides)
        except ValidationError as error:
            raise SettingsError(describe_faults(error)) from None
        except UnreadableSource as error:
            raise SettingsError(str(error)) from None
        except (TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"propusk.toml: not TOML: {error}") from None


def _looks_like_a_sample(key: str) -> bool:
    return (
        len(set(key)) < 10
        or re.search(r"change.?me|secret.?key|example|sample|insecure|password", key, re.IGNORECASE) is not None
    )


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


class _FromEnv(BaseSettings, Settings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        dotenv_filtering="match_prefix",
        toml_file="propusk.toml",
        extra="forbid",
        frozen=True,
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
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)
