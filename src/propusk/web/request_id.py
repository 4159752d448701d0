"""The name of one request, in its answer and in every log line of it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from propusk.web.headers import header_values

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def request_id(scope: Mapping[str, Any], new: Callable[[], str]) -> str:
    """The caller's X-Request-ID if it is short and plain, since it goes into headers and logs; else a new one.

    Args:
        scope: the ASGI scope of the request.
        new: makes an id.
    """
    values = header_values(scope, b"x-request-id")
    if len(values) == 1 and _ACCEPTABLE.fullmatch(values[0]):
        return values[0].decode("ascii")
    return new()
