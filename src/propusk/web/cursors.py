"""The parameters of lists. Cursors say where a page ended and are signed, so that nobody can make their own."""

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from propusk.context import Context
from propusk.crypto.secrets import SecretKey, b64url, parse_b64url
from propusk.errors import invalid


def _digits(value: object) -> object:
    """Pydantic would take 1.0 and 1_0 for whole numbers."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 10):
        raise PydanticCustomError("wrong_type", "A whole number is needed.")
    return value


def _instant(value: object) -> object:
    """RFC 3339 (pydantic would take Unix times too), in UTC; an instant that UTC has no year for is none."""
    if isinstance(value, str):
        try:
            if not _RFC3339.fullmatch(value):
                raise ValueError
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise PydanticCustomError("not_a_time", "A time in the form of RFC 3339 is needed.") from None
    return value


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most."), BeforeValidator(_digits)]
KeepCurrent = Annotated[bool, Query(description="Spare the session that asks.")]
QueryTime = Annotated[
    datetime | None, Query(description="RFC 3339, with its offset from UTC."), BeforeValidator(_instant)
]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")]
ListedT = TypeVar("ListedT", bound="Listed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def make_cursor(ctx: Context, list_name: str, last: tuple[datetime, UUID]) -> str:
    """A cursor for the page after `last` of one list."""
    body = ((last[0] - _EPOCH) // _MICROSECOND).to_bytes(8) + last[1].bytes
    return b64url(body + _mac(ctx.keyring.secrets.newest, list_name, body))


def read_cursor(ctx: Context, list_name: str, cursor: str | None) -> tuple[datetime, UUID] | None:
    """Where the page before ended.

    Raises:
        InvalidInput: not a cursor of this list.
    """
    if cursor is None:
        return None
    data = parse_b64url(cursor)
    if data is None or len(data) != 8 + 16 + 16:
        raise _bad()
    body, mac = data[:24], data[24:]
    if not any(hmac.compare_digest(mac, _mac(key, list_name, body)) for key in ctx.keyring.secrets.keys):
        raise _bad()
    return _EPOCH + int.from_bytes(body[:8]) * _MICROSECOND, UUID(bytes=body[8:])


class Listed(Protocol):
    """What is listed newest first."""

    @property
    def id(self) -> UUID: ...
    @property
    def created_at(self) -> datetime: ...


def cut_page(
    ctx: Context, list_name: str, found: Sequence[ListedT], limit: int
) -> tuple[Sequence[ListedT], str | None]:
    """The page, and the cursor after it if there is more: `found` was read with one more than `limit`."""
    page = found[:limit]
    return page, make_cursor(ctx, list_name, (page[-1].created_at, page[-1].id)) if len(found) > limit else None


def _mac(key: SecretKey, list_name: str, body: bytes) -> bytes:
    return hmac.digest(key.derive("cursor"), list_name.encode() + b"\0" + body, "sha256")[:16]


def _bad() -> Exception:
    return invalid("cursor", "bad_cursor", "This is not the next_cursor of a page of this list.")
