"""Which requests a browser may send with our cookies."""

from typing import Any

import pytest

from propusk.errors import CrossOrigin
from propusk.web.csrf import check_same_origin

OURS = "https://auth.example.com"
ALL = ("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "QUERY", "get")
SAFE = ALL[:4]

Pairs = list[tuple[str, str]]


def request(method: str, headers: Pairs) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
    }


def site(*values: str) -> Pairs:
    return [("Sec-Fetch-Site", value) for value in values]


def origin(*values: str) -> Pairs:
    return [("Origin", value) for value in values]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    "headers",
    [
        [],
        site("same-origin"),
        site("same-origin") + origin(OURS),
        origin(OURS),
        [("Referer", "https://evil.example/")],
        [("Authorization", "Bearer junk")],
    ],
)
def test_t30_the_same_origin_and_no_browser_pass(method: str, headers: Pairs) -> None:
    check_same_origin(request(method, headers), OURS)


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    "headers",
    [
        site("cross-site"),
        site("same-site"),
        site("same-site") + origin("https://www.example.com"),
        site(""),
        site("Same-Origin"),
        site("same-origin "),
        site("same-origin, cross-site"),
        site("unheard-of"),
        site("same-origin", "same-origin"),
        site("same-origin", "cross-site"),
        site("cross-site") + origin(OURS),
        site("same-origin") + origin(OURS, OURS),
        origin("null"),
        origin(""),
        origin("https://evil.example"),
        origin("http://auth.example.com"),
        origin("https://auth.example.com:8443"),
        origin("https://auth.example.com/"),
        origin("https://AUTH.example.com"),
        origin("https://auth.example.com.evil.example"),
        origin("https://evil.example?https://auth.example.com"),
        origin("https://auth.example.com\xff"),
        origin(OURS, OURS),
        origin(OURS, "https://evil.example"),
        [*origin("https://evil.example"), ("Authorization", "Bearer junk")],
        [*origin("https://evil.example"), ("X-HTTP-Method-Override", "GET")],
    ],
)
def test_t30_anything_else_that_a_browser_says_is_refused(method: str, headers: Pairs) -> None:
    with pytest.raises(CrossOrigin):
        check_same_origin(request(method, headers), OURS)


@pytest.mark.parametrize("headers", [site("none"), site("none") + origin(OURS)])
def test_t30_a_typed_address_may_read_but_not_write(headers: Pairs) -> None:
    for method in SAFE:
        check_same_origin(request(method, headers), OURS)
    for method in set(ALL) - set(SAFE):
        with pytest.raises(CrossOrigin):
            check_same_origin(request(method, headers), OURS)
