"""Raw request headers. Starlette's `headers.get` answers the first of several, which hides what we must refuse."""

from collections.abc import Mapping
from typing import Any


def header_values(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """Every value of one header, in the order of the request.

    Args:
        scope: the ASGI scope of a request; its header names are in lower case (ASGI, HTTP connection scope).
        name: the header's name in lower case.
    """
    return [value for key, value in scope["headers"] if key == name]
