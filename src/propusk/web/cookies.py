"""Our two cookies, read from the raw header. Starlette's parser strips and unquotes, and lets the last of two win:
a sibling subdomain can then set a cookie that is no `__Host-` one for the browser and becomes one here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from propusk.crypto.jwt import MAX_LENGTH
from propusk.errors import NotAuthenticated
from propusk.host import Cookies, Which
from propusk.web.headers import header_values

# What our tokens are made of (token68, RFC 9110, section 11.2): fewer than RFC 6265 allows in a cookie.
_VALUE = re.compile(rb"[A-Za-z0-9._~+/=-]{1,%d}" % MAX_LENGTH)


def read_cookie(scope: Mapping[str, Any], name: str) -> str | None:
    """The value of one cookie (RFC 6265, section 4.2.1, to the letter).

    Returns:
        The value, or None when no cookie has exactly this name.
    Raises:
        NotAuthenticated: two have it, or the value holds what no token of ours does.
    """
    wanted = name.encode("ascii")
    values = [value for found, value in _pairs(scope) if found == wanted]
    if not values:
        return None
    if len(values) > 1 or not _VALUE.fullmatch(values[0]):
        raise NotAuthenticated
    return values[0].decode("ascii")


def _pairs(scope: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Names and values; HTTP/2 may split the header into several (RFC 9113, section 8.2.3)."""
    for header in header_values(scope, b"cookie"):
        first, *others = header.split(b";")
        for pair in (first, *(other.removeprefix(b" ") for other in others)):
            name, separator, value = pair.partition(b"=")
            if separator:
                yield name, value


def carries_cookie(scope: Mapping[str, Any], names: Cookies) -> bool:
    """Whether any parser, however lenient, might find one of our cookies: such a request must be same-origin.

    Errs towards yes, which costs an honest client nothing.
    """
    sent = b";".join(header_values(scope, b"cookie")).lower()
    haystacks = (sent, unquote_to_bytes(sent))
    return any(name.lower().encode("ascii") in sent for name in (names.access, names.refresh) for sent in haystacks)


def set_cookie_header(names: Cookies, which: Which, value: str, max_age_seconds: int) -> str:
    """A `Set-Cookie` value. No Domain: the cookie belongs to this host alone (RFC 6265, section 5.3).

    Args:
        value: a token; its characters are checked, so that nothing can be smuggled into the header.
        max_age_seconds: life in seconds; 0 or less deletes the cookie.
    Raises:
        ValueError: a character that no token holds.
    """
    if not _VALUE.fullmatch(value.encode("utf-8")):
        raise ValueError("this is no token")
    return _header(names, which, value, max_age_seconds)


def clear_cookie_header(names: Cookies, which: Which) -> str:
    """A `Set-Cookie` value that deletes the cookie."""
    return _header(names, which, "", 0)


def _header(names: Cookies, which: Which, value: str, max_age: int) -> str:
    secure = "; Secure" if names.secure else ""
    return f"{names.of(which)}={value}; Max-Age={max_age}; Path=/; HttpOnly; SameSite=Lax{secure}"
