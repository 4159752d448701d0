"""The Authorization header: exactly right, absent, or refused."""

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propusk.errors import InvalidAccessToken, InvalidClient, NotAuthenticated, Unauthenticated
from propusk.web.bearer import read_basic, read_bearer

BAD_BEARERS = [
    b"Bearer",
    b"Bearer ",
    b"bearer  ",
    b"Bearer %zz",
    b"Bearer  zq7canary",
    b"Bearer zq7canary ",
    b"Bearer zq7canary zq7canary",
    b"Bearer zq7canary, Bearer zq7canary",
    b"Bearer zq7canary\n",
    b'Bearer "zq7canary"',
    b"Bearer a=b",
    b"Bearer ===",
    b"Bearer a\x00",
    b"Bearer \xd0\xb0",
    b"Bearer \xff",
    b"Bearer " + b"x" * 8193,
]
OTHER_SCHEMES = [
    b"",
    b" ",
    b" Bearer zq7canary",
    b"Basic YTpi",
    b"zq7canary",
    b"Bearerzq7canary",
    b"Bearer\tzq7canary",
    b"\xff",
    b"Token a",
]


def request(*values: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"authorization", value) for value in values]}


@pytest.mark.parametrize("scheme", [b"Bearer", b"bearer", b"BEARER", b"bEaReR"])
@pytest.mark.parametrize("token", [b"zq7canary.a-b_c", b"a~b+c/d==", b"x" * 8192])
def test_t18_a_bearer_token_is_read_in_any_case_of_its_scheme(scheme: bytes, token: bytes) -> None:
    assert read_bearer(request(scheme + b" " + token)) == token.decode()


def test_no_header_is_no_token() -> None:
    assert read_bearer({"headers": [(b"cookie", b"a=b"), (b"x-authorization", b"Bearer a")]}) is None


@pytest.mark.parametrize("value", BAD_BEARERS)
def test_t18_a_broken_bearer_header_is_refused_not_overlooked(value: bytes) -> None:
    with pytest.raises(InvalidAccessToken) as refusal:
        read_bearer(request(value))
    assert refusal.value.headers() == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@pytest.mark.parametrize("value", OTHER_SCHEMES)
def test_t18_another_scheme_is_refused_not_overlooked(value: bytes) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        read_bearer(request(value))
    assert refusal.value.headers() == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("values", [[b"Bearer a", b"Bearer a"], [b"Bearer a", b"Basic YTpi"], [b"", b"Bearer a"]])
def test_t18_two_headers_are_refused(values: list[bytes]) -> None:
    with pytest.raises(Unauthenticated):
        read_bearer(request(*values))


header_bytes = st.binary() | st.binary().map(lambda tail: b"Bearer " + tail)


@given(st.lists(header_bytes, min_size=1, max_size=3))
def test_t18_whatever_the_bytes_a_header_is_a_token_or_a_401(values: list[bytes]) -> None:
    try:
        token = read_bearer(request(*values))
    except Unauthenticated as refusal:
        assert refusal.status == 401
        assert "WWW-Authenticate" in refusal.headers()
    else:
        assert token is not None, "a header that is there is never the same as none"
        assert [value.partition(b" ") for value in values] == [(values[0][:6], b" ", token.encode())]


def basic(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


@pytest.mark.parametrize(
    ("pair", "read"),
    [
        (b"gateway:zq7canary", ("gateway", "zq7canary")),
        (b"gateway:zq7canary:with:colons", ("gateway", "zq7canary:with:colons")),
        (b"gateway:", ("gateway", "")),
        (b"a%3Ab:c%2Bd+e%25", ("a:b", "c+d e%")),
        ("gateway:zq7canary-ж".encode(), ("gateway", "zq7canary-ж")),
    ],
)
def test_a_clients_id_and_secret_are_read(pair: bytes, read: tuple[str, str]) -> None:
    assert read_basic(request(basic(pair))) == read
    assert read_basic(request(b"bAsIc" + basic(pair)[5:])) == read


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cc", "Cs"])),
)
def test_a_client_that_encodes_as_rfc_6749_says_is_understood(name: str, secret: str) -> None:
    pair = f"{quote_plus(name)}:{quote_plus(secret)}".encode()
    assert read_basic(request(basic(pair))) == (name, secret)


def test_no_header_is_no_client() -> None:
    assert read_basic({"headers": []}) is None


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"Basic"],
        [b"Basic "],
        [b"Bearer zq7canary"],
        [b"Basic  YTpi"],
        [b"Basic YTpi "],
        [b"Basic YTp"],
        [b"Basic YTpi===="],
        [b"Basic YT pi"],
        [b"Basic YTpj\n"],
        [b"Basic YTo="[:-1]],
        [b"Basic YTp="],
        [b"Basic YT-_"],
        [basic(b"nocolon")],
        [basic(b":zq7canary")],
        [basic(b"a:\xff")],
        [basic(b"a:%zz")],
        [basic(b"a:%ff")],
        [basic(b"a:b\x00")],
        [basic(b"a:b%0a")],
        [basic(b"a:" + b"x" * 8192)],
        [basic(b"a:b"), basic(b"a:b")],
    ],
)
def test_t18_broken_client_credentials_are_a_401_with_a_challenge(values: list[bytes]) -> None:
    with pytest.raises(InvalidClient) as refusal:
        read_basic(request(*values))
    assert refusal.value.headers() == {"WWW-Authenticate": 'Basic realm="propusk"'}
    assert refusal.value.__context__ is None


@given(st.binary() | st.binary().map(basic) | st.text("ab:%+").map(lambda pair: basic(pair.encode())))
def test_t18_whatever_the_bytes_client_credentials_are_a_pair_or_a_401(value: bytes) -> None:
    try:
        pair = read_basic(request(value))
    except InvalidClient:
        return
    assert pair is not None
