"""The token in the Authorization header of a request."""

import re
from collections.abc import Iterable

from propusk.verify.refusals import InvalidToken, MissingToken
from propusk.verify.strict import MAX_LENGTH

_BEARER = re.compile(rb"bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)

Authorization = Iterable[str | bytes] | str | bytes | None
"""Every value of the header; or the one, or None, where a framework tells no more."""


def read_bearer(authorization: Authorization) -> str:
    """The bearer token (RFC 6750, section 2.1) in these values of the header, not yet verified.

    Raises:
        MissingToken: no header, or another scheme.
        InvalidToken: a broken header, which is never the same as none, or two.
    """
    if authorization is None:
        authorization = ()
    elif isinstance(authorization, (str, bytes)):
        authorization = (authorization,)
    values = [value.encode("latin-1", "replace") if isinstance(value, str) else value for value in authorization]
    if not values:
        raise MissingToken("no Authorization header")
    if len(values) > 1:
        raise InvalidToken("more than one Authorization header")
    if values[0].partition(b" ")[0].lower() != b"bearer":
        raise MissingToken("another scheme than Bearer")
    match = _BEARER.fullmatch(values[0])
    if match is None or len(match[1]) > MAX_LENGTH:
        raise InvalidToken("no token in the Authorization header")
    return match[1].decode("ascii")
