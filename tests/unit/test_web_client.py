"""Whose request it is, when everybody may write headers."""

import unicodedata
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propusk.setting_types import Network
from propusk.web.client import MAX_USER_AGENT, client_address, network_of, preferred_language, user_agent
from tests.kit import least_cost

TRUSTED: list[Network] = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = "10.0.0.1"
STRANGER = "203.0.113.9"

Headers = list[tuple[bytes, bytes]]


def request(peer: str | None, *headers: tuple[str, str]) -> dict[str, object]:
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": None if peer is None else (peer, 5), "headers": sent}


def xff(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("Forwarded", value) for value in values]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        xff("1.2.3.4"),
        xff("10.0.0.7"),
        xff("a"),
        forwarded("for=1.2.3.4"),
        [*xff("1.2.3.4"), *forwarded("for=1.2.3.4")],
        [("X-Real-IP", "1.2.3.4"), ("CF-Connecting-IP", "1.2.3.4"), ("True-Client-IP", "1.2.3.4")],
    ],
)
def test_t06_headers_of_a_stranger_count_for_nothing(headers: list[tuple[str, str]]) -> None:
    assert client_address(request(STRANGER, *headers), TRUSTED) == STRANGER
    assert client_address(request(PROXY, *headers), []) == PROXY


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (xff("1.2.3.4"), "1.2.3.4"),
        (xff("6.6.6.6, 1.2.3.4"), "1.2.3.4"),
        (xff("6.6.6.6, 1.2.3.4,10.0.0.2 ,\t10.0.0.3"), "1.2.3.4"),
        (xff("6.6.6.6", "1.2.3.4"), "1.2.3.4"),
        (xff("6.6.6.6", "1.2.3.4", "10.0.0.2"), "1.2.3.4"),
        (xff("10.0.0.9, 10.0.0.2"), "10.0.0.9"),
        (xff("1.2.3.4:5678"), "1.2.3.4"),
        (xff("2001:db8::1"), "2001:db8::1"),
        (xff("[2001:DB8::0:1]"), "2001:db8::1"),
        (xff("[2001:db8::1]:443"), "2001:db8::1"),
        (xff("::ffff:1.2.3.4"), "1.2.3.4"),
        (xff("6.6.6.6, ::ffff:10.0.0.2"), "6.6.6.6"),
        (xff("fe80::1%eth0"), "fe80::1"),
        (xff("6.6.6.6, fd00::5"), "6.6.6.6"),
        # what cannot be read ends the walk at the last hop that could
        (xff("a"), PROXY),
        (xff(""), PROXY),
        (xff("6.6.6.6,"), PROXY),
        (xff("6.6.6.6, a"), PROXY),
        (xff("6.6.6.6, a, 10.0.0.2"), "10.0.0.2"),
        (xff("unknown"), PROXY),
        (xff("1.2.3"), PROXY),
        (xff("01.2.3.4"), PROXY),
        (xff("1.2.3.4:port"), PROXY),
        (xff("1.2.3.4 5.6.7.8"), PROXY),
        (xff("[1.2.3.4"), PROXY),
        (xff("\xa01.2.3.4"), PROXY),
        (xff("1.2.3.4\x00"), PROXY),
        (xff("2001:db8::1" + "0" * 100), PROXY),
        ([("X_Forwarded_For", "6.6.6.6")], PROXY),
    ],
)
def test_t06_the_rightmost_hop_that_is_not_trusted_is_the_client(headers: list[tuple[str, str]], client: str) -> None:
    assert client_address(request(PROXY, *headers), TRUSTED) == client


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (forwarded("for=1.2.3.4"), "1.2.3.4"),
        (forwarded("For=1.2.3.4;proto=https;by=10.0.0.1;host=example.com"), "1.2.3.4"),
        (forwarded("proto=https ; for=1.2.3.4"), "1.2.3.4"),
        (forwarded("for=6.6.6.6, for=1.2.3.4, for=10.0.0.2"), "1.2.3.4"),
        (forwarded("for=6.6.6.6", "for=1.2.3.4"), "1.2.3.4"),
        (forwarded('for="1.2.3.4:47011"'), "1.2.3.4"),
        (forwarded("for=1.2.3.4:47011"), "1.2.3.4"),
        (forwarded('for="[::1]"'), "::1"),
        (forwarded('for="[2001:db8::1]:4711"'), "2001:db8::1"),
        (forwarded('for="[2001:db8::1]:_secret"'), "2001:db8::1"),
        (forwarded('for="\\1.2.3.4"'), "1.2.3.4"),
        (forwarded('for=6.6.6.6;host="a, for=7.7.7.7", for=1.2.3.4'), "1.2.3.4"),
        (forwarded('for=1.2.3.4;host="a, for=7.7.7.7"'), "1.2.3.4"),
        (forwarded("for=_hidden"), PROXY),
        (forwarded("for=unknown"), PROXY),
        (forwarded("for=6.6.6.6, for=_hidden, for=10.0.0.2"), "10.0.0.2"),
        (forwarded("for=6.6.6.6, proto=https"), PROXY),
        (forwarded("for=6.6.6.6;for=1.2.3.4"), PROXY),
        (forwarded("for"), PROXY),
        (forwarded(""), PROXY),
        (forwarded("for=6.6.6.6, , for=1.2.3.4"), PROXY),
        (forwarded('for="6.6.6.6'), PROXY),
        (forwarded("for=6.6.6.6, for=1.2.3.4 x"), PROXY),
        # a client's open quote in the same line hides everybody in it, in a line of its own nobody
        (forwarded('for="x, for=1.2.3.4'), PROXY),
        (forwarded('for=6.6.6.6;x="', "for=1.2.3.4"), "1.2.3.4"),
        (forwarded('for=6.6.6.6;x="', "for=10.0.0.2"), "10.0.0.2"),
    ],
)
def test_t06_forwarded_is_read_as_rfc_7239_says(headers: list[tuple[str, str]], client: str) -> None:
    assert client_address(request(PROXY, *headers), TRUSTED) == client


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([*xff("1.2.3.4"), *forwarded("for=1.2.3.4")], "1.2.3.4"),
        ([*xff("::ffff:1.2.3.4"), *forwarded('for="1.2.3.4:5"')], "1.2.3.4"),
        ([*xff("1.2.3.4"), *forwarded("for=6.6.6.6")], PROXY),
        ([*xff("6.6.6.6"), *forwarded("for=1.2.3.4")], PROXY),
        ([*xff("1.2.3.4"), *forwarded("junk")], PROXY),
        ([*xff("junk"), *forwarded("for=6.6.6.6")], PROXY),
    ],
)
def test_t06_two_headers_that_disagree_leave_the_peer(headers: list[tuple[str, str]], client: str) -> None:
    assert client_address(request(PROXY, *headers), TRUSTED) == client


@pytest.mark.parametrize("peer", [None, "", "testclient", "/run/propusk.sock", "10.0.0.1:80"])
def test_t06_a_peer_without_an_address_is_nobody_whose_headers_count(peer: str | None) -> None:
    assert client_address(request(peer, *xff("1.2.3.4")), TRUSTED) is None


def test_t06_a_peer_in_ipv4_within_ipv6_is_the_same_peer() -> None:
    assert client_address(request("::ffff:10.0.0.1", *xff("1.2.3.4")), TRUSTED) == "1.2.3.4"
    assert client_address(request("::ffff:203.0.113.9"), TRUSTED) == STRANGER
    assert client_address(request("fd00::1%eth0", *xff("1.2.3.4")), TRUSTED) == "1.2.3.4"


def test_t06_three_hundred_forged_addresses_are_one_network() -> None:
    forged = [f"198.51.{n // 200}.{n % 200}" for n in range(300)]
    direct = {network_of(client_address(request(STRANGER, *xff(one)), TRUSTED)) for one in forged}
    proxied = {network_of(client_address(request(PROXY, *xff(f"{one}, {STRANGER}")), TRUSTED)) for one in forged}
    assert direct == proxied == {STRANGER}


def test_t06_only_the_nearest_hops_are_looked_at() -> None:
    far = ", ".join(["6.6.6.6"] + ["10.0.0.2"] * 32)
    near = ", ".join(["6.6.6.6"] + ["10.0.0.2"] * 31)
    assert client_address(request(PROXY, *xff(far)), TRUSTED) == "10.0.0.2"
    assert client_address(request(PROXY, *xff(near)), TRUSTED) == "6.6.6.6"
    nodes = [f"for={hop}" for hop in far.split(", ")]
    assert client_address(request(PROXY, *forwarded(", ".join(nodes))), TRUSTED) == "10.0.0.2"
    assert client_address(request(PROXY, *forwarded(*nodes)), TRUSTED) == "10.0.0.2"
    assert client_address(request(PROXY, *forwarded(*nodes[:-1])), TRUSTED) == "6.6.6.6"


@pytest.mark.parametrize(
    "value",
    [
        "10.0.0.2," * 7000,
        "for=10.0.0.2;" * 5000 + "\x00",
        "for=10.0.0.2, " * 4000 + "for=a",
        'for="\\' * 10_000,
        "for=a" + " ;" * 30_000 + "\x00",
        "," * 60_000,
    ],
)
def test_t49_long_headers_cost_no_time(value: str) -> None:
    asked = request(PROXY, *xff(value), *forwarded(value))
    assert least_cost(lambda: client_address(asked, TRUSTED)) < 0.5


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, "unknown"),
        ("", "unknown"),
        ("a", "unknown"),
        ("1.2.3.4/8", "unknown"),
        ("1.2.3.4%eth0", "unknown"),
    ],
)
def test_t06_a_network_is_an_ipv4_address_or_an_ipv6_64(address: str | None, network: str) -> None:
    assert network_of(address) == network


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(1, 2**64 - 1))
def test_t06_moving_about_in_a_64_changes_nothing_and_leaving_it_does(first: int, other: int, prefix: int) -> None:
    def at(net: int, host: int) -> str:
        return network_of(str(ip_address((net << 64 | host).to_bytes(16, "big"))))

    assert at(prefix, first) == at(prefix, other)
    assert at(prefix, first) != at(prefix ^ 1 or 2, other)


pieces = st.sampled_from(
    ["1.2.3.4", "10.0.0.2", "for=", "for=10.0.0.2", ", ", ";", '"', "[", "]", "::1", ":", " ", "a", "%", "\\", "é"]
)
lines = st.lists(pieces, max_size=8).map("".join)


@given(st.lists(lines, max_size=3), st.lists(lines, max_size=3))
def test_t06_whatever_a_proxy_passes_on_the_client_has_an_address(a: list[str], b: list[str]) -> None:
    found = client_address(request(PROXY, *xff(*a), *forwarded(*b)), TRUSTED)
    assert found is not None
    assert str(ip_address(found)) == found


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"curl/8.5.0", "curl/8.5.0"),
        ("Браузер/1".encode(), "Браузер/1"),
        (b"caf\xe9/1", "café/1"),
        (b"a\x1b[31mb\x00c\x7fd\x85e", "a[31mbcde"),
        ("a\u202eb\u2066c\u200fd\u200be\ufefff".encode(), "abcdef"),
        ("a\u2028b\u2029c\u0085d\r\ne".encode(), "abcde"),
        (b"", ""),
        (b"x" * 100_000, "x" * MAX_USER_AGENT),
        (("\u202e" * 20 + "y" * 600).encode(), "y" * MAX_USER_AGENT),
    ],
)
def test_t56_a_user_agent_is_short_and_stays_in_its_line(sent: bytes, kept: str) -> None:
    assert user_agent({"headers": [(b"user-agent", sent)]}) == kept


def test_a_user_agent_may_be_missing_and_the_first_of_two_counts() -> None:
    assert user_agent({"headers": []}) == ""
    assert user_agent({"headers": [(b"user-agent", b"a"), (b"user-agent", b"b")]}) == "a"


@given(st.binary(max_size=3000))
def test_t56_whatever_the_bytes_a_user_agent_can_be_stored_and_logged(sent: bytes) -> None:
    kept = user_agent({"headers": [(b"user-agent", sent)]})
    kept.encode("utf-8")
    assert len(kept) <= MAX_USER_AGENT
    assert not {unicodedata.category(c) for c in kept} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("sent", "language"),
    [
        ("ru", "ru"),
        ("RU-ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-US,en;q=0.9,ru;q=0.8", "en"),
        ("de, fr;q=0.9, ru;q=0.1", "ru"),
        ("en;q=0.5, ru;q=0.6", "ru"),
        ("en; q=0.500 , ru ; q=0.501", "ru"),
        ("en,ru", "en"),
        ("en;q=0, ru;q=0.001", "ru"),
        ("ru;q=0", None),
        ("ru;q=0.000", None),
        ("ru;q=2, en;q=0.1", "en"),
        ("ru;q=x, en;q=0.1", "en"),
        ("ru;q=0.0001, en;q=0.1", "en"),
        ("rus, english", None),
        ("*", None),
        ("de", None),
        ("", None),
        (",,;;q=1,", None),
        ("ru\0", None),
        ("x" * 2000 + ",ru", None),
    ],
)
def test_a_language_is_the_one_of_ours_that_is_liked_best(sent: str, language: str | None) -> None:
    assert preferred_language({"headers": [(b"accept-language", sent.encode())]}) == language


def test_languages_may_come_in_several_lines_or_not_at_all() -> None:
    lines = [(b"accept-language", b"de"), (b"accept-language", b"en;q=0.5"), (b"accept-language", b"ru")]
    assert preferred_language({"headers": lines}) == "ru"
    assert preferred_language({"headers": []}) is None


@given(st.binary(max_size=3000))
def test_whatever_the_bytes_a_language_is_one_of_ours(sent: bytes) -> None:
    assert preferred_language({"headers": [(b"accept-language", sent)]}) in ("en", "ru", None)
