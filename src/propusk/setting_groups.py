"""Settings that come in groups: `PROPUSK_PASSWORD__MIN_LENGTH`, `PROPUSK_LIMITS__REGISTER`."""

from datetime import timedelta
from enum import StrEnum
from typing import Self

import pydantic.dataclasses
from pydantic import ConfigDict, Field, model_validator

from propusk.setting_types import Limit, LimitSetting

# What one Argon2 hash may cost at most, an imported one as ours: what we write under one cost is checked under another.
ARGON2_KIB = 1 << 19
ARGON2_KIB_TIMES_PASSES = 1 << 20
ARGON2_PASSES = 64
"""Each pass starts four threads for each of several lanes, which is more work than to fill a little memory."""


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
    memory_kib: int = Field(
        default=19456,
        ge=8,
        le=ARGON2_KIB,
        description=f"Argon2id memory for one hash, in KiB; at most {ARGON2_KIB}, times iterations at most"
        f" {ARGON2_KIB_TIMES_PASSES}",
    )
    iterations: int = Field(
        default=3, ge=1, le=ARGON2_PASSES, description=f"Argon2id passes over that memory; at most {ARGON2_PASSES}"
    )

    @model_validator(mode="after")
    def _check_work(self) -> Self:
        if self.memory_kib * self.iterations > ARGON2_KIB_TIMES_PASSES:
            raise ValueError(f"memory_kib times iterations is {ARGON2_KIB_TIMES_PASSES} at most")
        return self


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LimitSettings:
    """How often one may try: `count/window`."""

    login_pair: LimitSetting = Field(
        default=Limit(10, timedelta(minutes=15)), description="logins for one account from one network"
    )
    login_account: LimitSetting = Field(
        default=Limit(90, timedelta(days=1)),
        description="logins for one account over all networks without a session or a reset of it in the last 30 days",
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
