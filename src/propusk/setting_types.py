"""The kinds of values that settings have: durations, limits, lists, networks, addresses."""

import re
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import idna
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr
from pydantic_settings import NoDecode

_IN_NO_URL = re.compile(r'[\x00-\x20\x7f"<>\\^`{|}]')
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = timedelta(days=36500)
"""No duration is longer, so that every time it is added to is one that the databases can hold."""
MOST = 1_000_000_000
"""No limit is higher."""


def parse_duration(text: object) -> object:
    """`90s`, `10m`, `2h` or `30d` as a timedelta; anything else is left to pydantic to refuse."""
    if isinstance(text, timedelta) or not isinstance(text, str):
        return text
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if match is None:
        raise ValueError("a duration is a whole number and a unit: 90s, 10m, 2h, 30d")
    span = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if span > LONGEST:
        raise ValueError(f"at most {format_duration(LONGEST)}")
    return span


def format_duration(span: timedelta) -> str:
    """The shortest form that `parse_duration` reads back."""
    seconds = int(span.total_seconds())
    unit = next(u for u in "dhms" if seconds % _UNITS[u] == 0) if seconds else "s"
    return f"{seconds // _UNITS[unit]}{unit}"


def split_list(value: object) -> object:
    """The parts of a text with commas; anything else is left to pydantic."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


@dataclass(frozen=True)
class Limit:
    """At most `count` events in a window of length `window`."""

    count: int
    window: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(self.window)}"


def _parse_limit(value: object) -> object:
    if isinstance(value, str):
        count, _, window = value.partition("/")
        span = parse_duration(window)
        if not count.isdecimal() or int(count) < 1 or not isinstance(span, timedelta) or not span:
            raise ValueError("a limit is a count and a window: 10/15m")
        return Limit(int(count), span)
    return value


def _check_limit(value: Limit) -> Limit:
    # The databases count in 32 bits, and go on beyond the limit.
    if value.count > MOST:
        raise ValueError(f"at most {MOST} in a window")
    return value


def _refuse_empty(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and not text.strip():
        raise ValueError("it is empty: give a value, or leave the setting out")
    return value


def _at_least_a_second(span: timedelta) -> timedelta:
    if span < timedelta(seconds=1):
        raise ValueError("at least 1s")
    return span


def at_most(longest: timedelta, why: str) -> AfterValidator:
    """Refuse a duration that is longer."""

    def check(span: timedelta) -> timedelta:
        if span > longest:
            raise ValueError(f"at most {format_duration(longest)}: {why}")
        return span

    return AfterValidator(check)


def _parse_networks(value: object) -> object:
    value = split_list(value)
    return [ip_network(v) if isinstance(v, str) else v for v in value] if isinstance(value, list) else value


T = TypeVar("T")
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    Field(ge=timedelta(0), le=LONGEST),
    PlainSerializer(format_duration),
]
Listed = Annotated[list[T], NoDecode, BeforeValidator(split_list)]
Life = Annotated[Duration, AfterValidator(_at_least_a_second)]
"""How long something is good for. What is good for no time at all would be made in vain."""
LimitSetting = Annotated[
    Limit, NoDecode, BeforeValidator(_parse_limit), AfterValidator(_check_limit), PlainSerializer(str)
]
Network = IPv4Network | IPv6Network
Networks = Annotated[list[Network], NoDecode, BeforeValidator(_parse_networks)]
NOT_EMPTY = BeforeValidator(_refuse_empty)
"""For settings whose empty text means something else than their absence: a folder `""` is the current one."""


def check_port(parts: SplitResult) -> None:
    """Refuse a port that is none.

    Raises:
        ValueError
    """
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port is a number from 1 to 65535")


def in_ascii(parts: SplitResult) -> SplitResult:
    """With the host as browsers send it: A-labels (RFC 5890)."""
    if not parts.path.isascii():
        raise ValueError("the path must be ASCII")
    try:
        host = idna.encode(parts.hostname or "", uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("the host is no domain name") from None
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}")


def _check_public_url(value: str) -> str:
    if _IN_NO_URL.search(value):
        raise ValueError("there is a character in it that no URL has, such as a space")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("an absolute http or https URL is needed")
    if parts.query or parts.fragment:
        raise ValueError("no query and no fragment, please")
    if any(unquote(part) in (".", "..") for part in parts.path.split("/")):
        raise ValueError("no . and no .. in its path, please: browsers take them out")
    check_port(parts)
    if not value.isascii():
        parts = in_ascii(parts)
    return parts.geturl().rstrip("/")


PublicUrl = Annotated[str, AfterValidator(_check_public_url)]
"""Where people reach us: an origin and maybe a path, in ASCII, without a slash at the end."""
