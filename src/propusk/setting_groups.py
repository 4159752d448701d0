"""Settings that come in groups: `PROPUSK_PASSWORD__MIN_LENGTH`, `PROPUSK_LIMITS__REGISTER`."""

from datetime import timedelta
from enum import StrEnum

import pydantic.dataclasses
from pydantic import ConfigDict, Field

from propusk.setting_types import Limit, LimitSetting


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
    memory_kib: int = Field(default=19456, ge=8, le=1 << 22, description="Argon2id memory for one hash, in KiB")
    iterations: int = Field(default=3, ge=1, le=1 << 20, description="Argon2id passes over that memory")


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
    mail_network: LimitSetting = Field(
        default=Limit(20, timedelta(hours=1)), description="mails that strangers may ask for from one network"
    )
    mail_address: LimitSetting = Field(
        default=Limit(5, timedelta(hours=1)),
        description="mails that strangers may ask for to one address; more are answered alike and not sent",
    )
    refresh: LimitSetting = Field(
        default=Limit(60, timedelta(minutes=1)),
        description="refreshes of one session; bad refresh tokens from one network",
    )
