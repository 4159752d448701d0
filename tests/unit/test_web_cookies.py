"""Our cookies are read by their exact bytes; other parsers, and browsers' quirks, find nothing more."""

from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser

from propusk.errors import NotAuthenticated
from propusk.host import Cookies
from propusk.web.cookies import carries_cookie, clear_cookie_header, read_cookie, set_cookie_header

NAMES = Cookies.named(None, https=True)
LOCAL = Cookies.named(None, https=False)
ACCESS = b"__Host-propusk_access"
TOKEN = "zq7canary.eyJhIjoxfQ.c2ln-_"


def request(*headers: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"cookie", header) for header in headers]}


@pytest.mark.parametrize(
    "headers",
    [
        [ACCESS + b"=zq7canary"],
        [b"a=b; " + ACCESS + b"=zq7canary; c=d"],
        [b"a=b;" + ACCESS + b"=zq7canary;"],
        [b"a=b", ACCESS + b"=zq7canary"],
        [b'a="b; c"; ' + ACCESS + b"=zq7canary"],
        [b"__Host-propusk_accessory=x; " + ACCESS + b"=zq7canary; x__Host-propusk_access=y"],
        [b"; ".join(b"junk%d=%s" % (n, b"x" * 50) for n in range(100)) + b"; " + ACCESS + b"=zq7canary"],
    ],
)
def test_a_cookie_is_found_by_its_name(headers: list[bytes]) -> None:
    assert read_cookie(request(*headers), NAMES.access) == "zq7canary"


def test_no_cookie_is_no_credential() -> None:
    assert read_cookie({"headers": []}, NAMES.access) is None
    assert read_cookie(request(b"", b"a=b", b"__Host-propusk_access"), NAMES.access) is None


LOOKALIKES = [
    *(bytes([byte]) + ACCESS for byte in (0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x85, 0xA0)),
    *(ACCESS + bytes([byte]) for byte in (0x09, 0x1C, 0x20, 0x85, 0xA0)),
    b" " + ACCESS,
    b"\xe2\x80\xa8" + ACCESS,
    b'"' + ACCESS + b'"',
    b"__host-propusk_access",
    b"__HOST-PROPUSK_ACCESS",
    b"__Host%2Dpropusk_access",
    b"__Host-propusk_access\x00",
    b"$Version=1, " + ACCESS,
    b"a=b, " + ACCESS,
    b"propusk_access",
    b"__Secure-propusk_access",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_t27_a_cookie_that_only_looks_like_ours_is_not_ours(name: bytes) -> None:
    spaced = b"a=b; " + name + b"=zq7canary"
    assert read_cookie(request(spaced), NAMES.access) is None
    genuine = ACCESS + b"=good"
    assert read_cookie(request(genuine + b"; " + name + b"=zq7canary"), NAMES.access) == "good"
    assert read_cookie(request(name + b"=zq7canary; " + genuine), NAMES.access) == "good"


@pytest.mark.parametrize(
    "headers",
    [
        [ACCESS + b"=a; " + ACCESS + b"=b"],
        [ACCESS + b"=a; " + ACCESS + b"=a"],
        [ACCESS + b"=a", ACCESS + b"=b"],
        [ACCESS + b"=a; x=y;" + ACCESS + b"="],
        [ACCESS + b"=a", b"x=y; " + ACCESS + b'="b"'],
    ],
)
def test_t27_two_cookies_of_our_name_are_refused(headers: list[bytes]) -> None:
    with pytest.raises(NotAuthenticated):
        read_cookie(request(*headers), NAMES.access)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'"a"',
        b'"a',
        b"a b",
        b"a ",
        b" a",
        b"a\t",
        b"a,b",
        b"%61",
        b"a\\b",
        b"a\x00",
        b"a\x85",
        b"\xff",
        b"a\r\nb",
        b"x" * 8193,
        b"\xd0\xb0",
        b"a:b",
        b"(a)",
        b"a|b",
    ],
)
def test_t18_t27_a_cookie_with_more_than_a_tokens_characters_is_refused(value: bytes) -> None:
    with pytest.raises(NotAuthenticated):
        read_cookie(request(ACCESS + b"=" + value), NAMES.access)


@pytest.mark.parametrize("name", LOOKALIKES[:-2])
@pytest.mark.parametrize(
    "frame", [b"%s=x", b"a=b; %s=x", b"a=b;%s = x", b"a=b; \t%s=x", b'$Version="1"; %s="x"', b"%s"]
)
def test_t30_whatever_some_parser_might_take_for_our_cookie_counts_as_carried(name: bytes, frame: bytes) -> None:
    assert carries_cookie(request(b"k=v", frame % name), NAMES)


def test_t30_both_cookies_count_and_others_do_not() -> None:
    assert carries_cookie(request(b"__Host-propusk_refresh=x"), NAMES)
    assert carries_cookie(request(b"propusk_refresh=x"), LOCAL)
    assert not carries_cookie(request(b"theme=dark; propusk_theme=x"), NAMES)
    assert not carries_cookie({"headers": []}, NAMES)


pieces = st.sampled_from(
    [
        ACCESS,
        b"propusk_access",
        b"=",
        b";",
        b"; ",
        b" ",
        b"\t",
        b"\x85",
        b"\xa0",
        b"\x1c",
        b'"',
        b",",
        b"a",
        b"%61",
        b"$Version=1",
    ]
)
cookie_bytes = st.lists(pieces, max_size=12).map(b"".join) | st.binary()


@given(st.lists(cookie_bytes, max_size=3))
def test_t18_t27_whatever_the_bytes_a_cookie_is_exact_or_absent_or_refused(headers: list[bytes]) -> None:
    try:
        value = read_cookie(request(*headers), NAMES.access)
    except NotAuthenticated:
        return
    segments = [s if n == 0 else s.removeprefix(b" ") for h in headers for n, s in enumerate(h.split(b";"))]
    exact = [segment for segment in segments if segment.startswith(ACCESS + b"=")]
    assert exact == ([] if value is None else [ACCESS + b"=" + value.encode()])


@given(cookie_bytes)
def test_t30_where_lenient_parsers_find_our_cookie_it_counts_as_carried(header: bytes) -> None:
    text = header.decode("latin-1")
    found = set(cookie_parser(text))
    with suppress(CookieError):
        found |= set(SimpleCookie(text))
    if NAMES.access in found:
        assert carries_cookie(request(header), NAMES)


def test_t27_a_cookie_is_set_for_this_host_alone_and_out_of_reach_of_scripts() -> None:
    assert set_cookie_header(NAMES, "access", TOKEN, 600) == (
        f"__Host-propusk_access={TOKEN}; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure"
    )
    assert set_cookie_header(LOCAL, "refresh", TOKEN, 600) == (
        f"propusk_refresh={TOKEN}; Max-Age=600; Path=/; HttpOnly; SameSite=Lax"
    )


def test_a_cookie_is_cleared_with_the_attributes_it_was_set_with() -> None:
    assert clear_cookie_header(NAMES, "refresh") == (
        "__Host-propusk_refresh=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
    )


@pytest.mark.parametrize("which", ["access", "refresh"])
def test_what_is_set_can_be_read(which: Any) -> None:
    pair = set_cookie_header(NAMES, which, TOKEN, 1).split(";")[0]
    assert read_cookie(request(pair.encode()), NAMES.of(which)) == TOKEN


@pytest.mark.parametrize("value", ["", "a; Domain=example.com", "a\r\nSet-Cookie: b=c", "a b", '"a"', "é", "a\n"])
def test_t50_nothing_but_a_token_goes_into_a_cookie(value: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        set_cookie_header(NAMES, "access", value, 600)
