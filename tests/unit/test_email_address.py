"""What an e-mail address may look like, when two are the same, and what a login field holds."""

import re
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from types import FrameType
from typing import Any

import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from propusk.errors import InvalidInput
from propusk.users.email_address import EmailAddress, login_key, normalise_email

LONGEST_DOMAIN = ".".join(["d" * 63, "d" * 63, "d" * 59])  # 64 + 1 + 187 = 252


def code_of(text: str) -> str:
    with pytest.raises(InvalidInput) as refusal:
        normalise_email(text, field="new_email")
    [fault] = refusal.value.errors
    assert fault.field == "new_email"
    assert not text or text not in fault.message
    return fault.code


@pytest.mark.parametrize(
    ("typed", "address", "key"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        ("  Ada.Lovelace@Example.COM\t", "Ada.Lovelace@Example.COM", "ada.lovelace@example.com"),
        ("ada+lists@example.com", "ada+lists@example.com", "ada+lists@example.com"),
        ("a.d.a@example.com", "a.d.a@example.com", "a.d.a@example.com"),
        ("!#$%&'*+/=?^_`{|}~-@a-b.example", "!#$%&'*+/=?^_`{|}~-@a-b.example", "!#$%&'*+/=?^_`{|}~-@a-b.example"),
        ("ada@bücher.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@bu\u0308cher.example", "ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("ada@почта.рф", "ada@почта.рф", "ada@xn--80a1acny.xn--p1ai"),
        ("ada@house.test", "ada@house.test", "ada@house.test"),
        (f"{'l' * 64}@{LONGEST_DOMAIN}", f"{'l' * 64}@{LONGEST_DOMAIN}", f"{'l' * 64}@{LONGEST_DOMAIN}"),
    ],
)
def test_an_address_is_kept_as_typed_and_found_by_its_key(typed: str, address: str, key: str) -> None:
    assert normalise_email(typed) == EmailAddress(address, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "ada@example.com@example.org",
        "ada@@example.com",
        "=?utf-8?q?ada=2Ceve?=@example.com",
        "ada example@example.com",
        "ada@exam ple.com",
        ".ada@example.com",
        "ada.@example.com",
        "a..da@example.com",
        "ada@.example.com",
        "ada@example..com",
        "ada@-example.com",
        "ada@example-.com",
        "ada@exa_mple.com",
        f"ada@{'d' * 64}.com",
        "ada@localhost",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@[IPv6:::1]",
        "ada@xn--.com",
        "ada@xn--abc-.com",
        "ada@xn--abc.com",
        "ada@xn---bbk.com",
        "ada@☃.example",
        "ada@a\u200db.example",
        "ada@-\u0301.example",
        "ada@\ud800.example",
        "ad\ud800a@example.com",
        "été@example.com",
        "ada\0@example.com",
        "ada@example.com\0",
        "ada\x7f@example.com",
        "\u00a0ada@example.com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert code_of(text) == "not_an_email"


@pytest.mark.parametrize(
    "text",
    [
        "mıke@example.com",
        "mi\u212ae@example.com",  # the Kelvin sign, a plain K after NFC
        "ſam@example.com",
        "straße@example.com",
        "ada＠example.com",
        "ada@ｅxample.com",
        "ada@example。com",
        "ada@example．com",
        "ada@example｡com",
        "ada@①.example",
        "ada@example.com.",
        "victim@x.example,evil@y.example",
        "victim@x.example;evil@y.example",
        "victim@x.example evil@y.example",
        '"e@evil.example"@x.example',
        '"ada"@example.com',
        "(comment)ada@example.com",
        "ada(comment)@example.com",
        "Ada <ada@example.com>",
        "<ada@example.com>",
        "group:ada@example.com;",
        "[ada@example.com, evil@example.com]",
        "@relay.example:ada@example.com",
        "ada@example.com\r\nBcc: evil@example.com",
        "ada@example.com\nevil@example.com",
        "ada@example.com\r\n",
        "\nada@example.com",
        "ada\\@example.com",
        "ada@example.com?cc=evil",
        "ada@example.com/evil",
    ],
)
def test_t40_an_address_that_another_program_may_read_otherwise_is_refused(text: str) -> None:
    assert code_of(text) == "not_an_email"


def test_t40_spellings_of_one_address_have_one_key() -> None:
    spellings = ["ADA@bücher.EXAMPLE", " ada@BÜCHER.example", "ada@bu\u0308cher.example", "Ada@xn--BCHER-kva.example"]
    assert {normalise_email(text).key for text in spellings} == {"ada@xn--bcher-kva.example"}


def test_t40_different_mailboxes_have_different_keys() -> None:
    different = [
        "ada@example.com",
        "a.da@example.com",
        "ada+x@example.com",
        "ada@strasse.example",
        "ada@straße.example",
        "ada@example.org",
    ]
    assert len({normalise_email(text).key for text in different}) == len(different)


@pytest.mark.parametrize(
    "text",
    [
        f"{'l' * 65}@example.com",
        f"{'l' * 64}@{'.'.join(['d' * 63] * 3)}",
        f"ada@{'.'.join(['d' * 62] * 4)}",
        f"{'l' * 64}@{'.'.join(['яж日é中ñ語ß' * 3] * 4)}.example",  # short as typed, long as A-labels
        " " * 2000 + "ada@example.com",
    ],
)
def test_t40_an_overlong_address_is_refused(text: str) -> None:
    assert code_of(text) == "too_long"


# Properties, after kratos' fuzz test of its addresses

HOSTILE = st.text(
    st.sampled_from("aA1.@-_+ ,;:\"'()<>[]\\%\r\n\t\0xn-ßüÜıİſ\u212a\u0301\u200d\u200bａ＠．。é日א٠\u202e\ud800"),
    max_size=40,
)
LABEL = st.from_regex(
    re.compile(r"[a-z0-9äöüßя日本ñ]([a-z0-9äöüßя日本ñ-]{0,8}[a-z0-9äöüßя日本ñ])?", re.IGNORECASE), fullmatch=True
)
PLAUSIBLE = st.builds(
    lambda local, labels: f"{local}@{'.'.join(labels)}",
    st.from_regex(re.compile(r"[a-z0-9.+_-]{1,12}", re.IGNORECASE | re.ASCII), fullmatch=True),
    st.lists(LABEL, min_size=1, max_size=4),
)


@given(st.one_of(HOSTILE, PLAUSIBLE, st.text(max_size=60), st.emails(), st.builds("{}@{}".format, HOSTILE, HOSTILE)))
@example("Ada@BÜCHER.example")
@example("ada@İstanbul.example")
@example("ada@xn--istanbul-o0e.example")
@example("ada@Ω\u2126.example")
def test_t40_an_accepted_address_holds_its_invariants(text: str) -> None:
    try:
        found = normalise_email(text)
    except InvalidInput:
        assert login_key(text) is None or "@" not in text
        return
    for form in (found.address, found.key):
        local, at, domain = form.rpartition("@")
        assert at
        assert form.count("@") == 1
        assert len(form) <= 254
        assert 1 <= len(local) <= 64
        assert not set(form) & set('()<>[]:;\\," \t')
        assert all(unicodedata.category(char)[0] not in "CZ" or char in "\u200c\u200d" for char in form)
        assert local.isascii()
        assert local.isprintable()
        assert not local.startswith(".")
        assert not local.endswith(".")
        assert unicodedata.is_normalized("NFC", form)
        assert "." in domain
        assert not domain.endswith(".")
        assert all(len(label) <= 63 for label in idna.encode(domain.lower(), strict=True).decode().split("."))
    assert found.key.isascii()
    assert found.key == found.key.lower()
    assert idna.encode(idna.decode(found.key.rpartition("@")[2])).decode() == found.key.rpartition("@")[2]
    assert found.address.rpartition("@")[0].lower() == found.key.rpartition("@")[0]
    assert normalise_email(found.key) == EmailAddress(found.key, found.key)
    assert normalise_email(found.address) == found
    assert login_key(text) == ("email", found.key)


@given(PLAUSIBLE)
def test_t40_case_and_composition_never_make_a_second_key(text: str) -> None:
    try:
        key = normalise_email(text).key
    except InvalidInput:
        return
    local, _, domain = text.partition("@")
    assert normalise_email(f"{local.swapcase()}@{unicodedata.normalize('NFD', domain)}").key == key
    assert normalise_email(f" {local.upper()}@{idna.decode(key.partition('@')[2])}").key == key


@given(st.from_regex(re.compile(r"[a-z0-9x.-]{1,16}", re.ASCII), fullmatch=True))
@example("a.xn--p1ai")
@example("ab--c.example")
@example("a-.example")
@example(f"{'a' * 64}.example")
def test_a_domain_of_plain_letters_is_what_idna_makes_of_it(domain: str) -> None:
    try:
        expected = idna.encode(domain, strict=True).decode()
    except UnicodeError:
        expected = ""
    if "." not in expected or expected.rpartition(".")[2].isdigit() or expected.endswith("."):
        expected = ""
    try:
        key = normalise_email(f"ada@{domain}").key
    except InvalidInput:
        key = ""
    assert key == (f"ada@{expected}" if expected else "")


# Login fields


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ada@Example.com", ("email", "ada@example.com")),
        (" ada@bücher.example ", ("email", "ada@xn--bcher-kva.example")),
        ("Ada_99", ("username", "ada_99")),
        (" ada ", ("username", "ada")),
        ("", None),
        ("ab", None),
        ("ada@", None),
        ("@", None),
        ("ada lovelace", None),
        ("mi\u212ae", None),
        ("ada\ud800", None),
        ("ada\0", None),
        ("ada" + " " * 2000 + "x", None),
        ("ada" + " " * 2000, None),
    ],
)
def test_a_login_field_names_an_email_or_a_username_or_nobody(text: str, key: tuple[str, str] | None) -> None:
    assert login_key(text) == key


@given(st.text())
def test_a_login_field_never_raises(text: str) -> None:
    assert login_key(text) == login_key(f" {text}")


# Work


def calls_made_for(text: str) -> int:
    """How many calls, of Python or of C, it takes to judge an address: work, without a clock."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        login_key(text)
    finally:
        sys.setprofile(before)
    return calls


SHAPES: dict[str, Callable[[int], str]] = {
    "dots": lambda n: "a@" + "a." * n + "a",
    "dots before": lambda n: "a." * (n // 4) + "a@example.com",
    "ats": lambda n: "a@" * n,
    "brackets": lambda n: "a@" + "(" * n,
    "one label": lambda n: "a@" + "ü" * n + ".example",
    "joiners": lambda n: "a@" + "क\u094d\u200d" * (n // 3) + ".example",
    "bidi": lambda n: "a@" + "א1" * (n // 2) + ".example",
    "labels": lambda n: "a@" + "ü." * (n // 8) + "example",
    "decomposed": lambda n: "a@" + "u\u0308" * (n // 2) + ".example",
    "a-labels": lambda n: "a@" + "xn--bcher-kva." * (n // 16) + "example",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_t51_work_grows_no_faster_than_the_address(shape: str) -> None:
    make = SHAPES[shape]
    calls_made_for(make(32))  # tables that are made at first use
    assert calls_made_for(make(100)) / calls_made_for(make(50)) < 2.5


@pytest.mark.parametrize("shape", SHAPES)
def test_t51_beyond_the_limit_length_costs_nothing(shape: str) -> None:
    text = SHAPES[shape](1 << 20)
    assert calls_made_for(text) < 20
    tracemalloc.start()
    try:
        assert login_key(text) is None
        assert code_of(text) == "too_long"
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()
