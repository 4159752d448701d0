"""Credentials in the Authorization header. A bad header is a refusal, never the same as none: a good cookie beside it
does not make up for it.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from propusk.crypto.jwt import MAX_LENGTH as MAX_TOKEN
from propusk.errors import InvalidAccessToken, InvalidClient, NotAuthenticated
from propusk.web.body import decode_form_text
from propusk.web.headers import header_values

_BEARER = re.compile(rb"bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_BASIC = re.compile(rb"basic ([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def read_bearer(scope: Mapping[str, Any]) -> str | None:
    """The access token of the Authorization header (RFC 6750, section 2.1), not yet verified.

    Returns:
        The token, or None without the header.
    Raises:
        NotAuthenticated: another scheme; no error word goes with the challenge then (RFC 6750, section 3.1).
        InvalidAccessToken: no token, characters that none has, more than `MAX_TOKEN` of them, or two headers.
    """
    values = header_values(scope, b"authorization")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidAccessToken
    if values[0].partition(b" ")[0].lower() != b"bearer":
        raise NotAuthenticated
    match = _BEARER.fullmatch(values[0])
    if match is None or len(match[1]) > MAX_TOKEN:
        raise InvalidAccessToken
    return match[1].decode("ascii")


def read_basic(scope: Mapping[str, Any]) -> tuple[str, str] | None:
    """Id and secret of a client (RFC 7617), each form-encoded before they were joined (RFC 6749, section 2.3.1).

    Returns:
        The pair, not yet verified, or None without an Authorization header.
    Raises:
        InvalidClient: another scheme, two headers, or no such pair.
    """
    values = header_values(scope, b"authorization")
    if not values:
        return None
    match = _BASIC.fullmatch(values[0])
    if len(values) > 1 or match is None or len(match[1]) > MAX_TOKEN:
        raise InvalidClient
    try:
        pair = _decode(match[1])
    except ValueError:
        pair = None
    if pair is None:
        raise InvalidClient
    return pair


def _decode(encoded: bytes) -> tuple[str, str]:
    decoded = base64.b64decode(encoded, validate=True)
    if base64.b64encode(decoded) != encoded:
        raise ValueError("base64 of another spelling")
    name, separator, secret = decoded.partition(b":")
    pair = decode_form_text(name), decode_form_text(secret)
    if not name or not separator or any(_CONTROL.search(text) for text in pair):
        raise ValueError("no id, no colon, or a control character (RFC 7617, section 2)")
    return pair
