"""Cross-site requests: what a browser says about where a request comes from."""

from collections.abc import Mapping
from typing import Any

from propusk.errors import CrossOrigin
from propusk.web.headers import header_values

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


def check_same_origin(scope: Mapping[str, Any], origin: str) -> None:
    """Refuse a request that a browser sends for a page of another origin.

    `Sec-Fetch-Site` decides (Fetch Metadata, section 2.3): only `same-origin` passes, and `none` (typed, bookmarked)
    for safe methods. Without it (browsers send it over TLS and to localhost only) `Origin` decides (RFC 6454, section
    7). With neither the client is no browser, so nobody's cookies were borrowed.

    Args:
        scope: the ASGI scope of the request.
        origin: ours, as browsers write it (`Settings.origin`).
    Raises:
        CrossOrigin: another origin, a sibling subdomain, `null`, or either header twice.
    """
    sites = header_values(scope, b"sec-fetch-site")
    origins = header_values(scope, b"origin")
    if len(sites) > 1 or len(origins) > 1:
        raise CrossOrigin
    if sites:
        if sites[0] == b"same-origin" or (sites[0] == b"none" and scope.get("method") in SAFE):
            return
        raise CrossOrigin
    if origins and origins[0] != origin.encode("ascii"):
        raise CrossOrigin
