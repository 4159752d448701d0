"""Raw request headers. Starlette's `headers.get` answers the first of several, which hides what we must refuse."""

from collections.abc import Mapping
from typing import Any

# Nobody frames us, opens us with a handle on the window, or loads our answers into pages of theirs.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def headers_of_all(*, https: bool) -> list[tuple[bytes, bytes]]:
    """The security headers of every answer, as ASGI has them.

    Args:
        https: whether browsers reach us over TLS (adds Strict-Transport-Security).
    """
    headers = SECURITY_HEADERS | ({"Strict-Transport-Security": "max-age=63072000"} if https else {})
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def header_values(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """Every value of one header, in the order of the request.

    Args:
        scope: the ASGI scope of a request; its header names are in lower case (ASGI, HTTP connection scope).
        name: the header's name in lower case.
    """
    return [value for key, value in scope["headers"] if key == name]
