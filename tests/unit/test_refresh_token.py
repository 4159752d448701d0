"""The bytes of a refresh token: one spelling, made by neither the key nor the database alone."""

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propusk.crypto.secrets import SecretKeys, b64url, parse_b64url
from propusk.tokens.refresh_token import RefreshToken, is_authentic, make_refresh_token, parse_refresh_token
from tests.kit import SECRET_KEY

KEYS = SecretKeys.of([SECRET_KEY])
SEED = b"zq7canary".ljust(32, b"s")
ID = UUID("0193b0a0-0000-7000-8000-000000000001")
TOKEN = make_refresh_token(KEYS.newest, session_id=ID, counter=7, seed=SEED)


def is_good(text: str, *, keys: SecretKeys = KEYS, seed: bytes = SEED) -> bool:
    parsed = parse_refresh_token(text)
    return parsed is not None and parsed.session_id == ID and parsed.counter == 7 and is_authentic(keys, parsed, seed)


def test_a_token_says_whose_it_is_and_which() -> None:
    parsed = parse_refresh_token(TOKEN)
    assert parsed is not None
    assert (parsed.session_id, parsed.counter, len(parsed.mac)) == (ID, 7, 32)
    assert TOKEN.startswith("prt1_")
    assert len(TOKEN) == 75
    assert is_good(TOKEN)


def test_t20_the_same_parts_make_the_same_token() -> None:
    assert make_refresh_token(KEYS.newest, session_id=ID, counter=7, seed=SEED) == TOKEN


def test_t19_no_one_character_edit_is_a_token() -> None:
    alphabet = string.ascii_letters + string.digits + "-_=+/%. "
    edits = {TOKEN[:at] + other + TOKEN[at + 1 :] for at in range(len(TOKEN)) for other in alphabet}
    edits |= {TOKEN[:at] + TOKEN[at + 1 :] for at in range(len(TOKEN))}
    edits |= {TOKEN[:at] + other + TOKEN[at:] for at in range(len(TOKEN) + 1) for other in alphabet}
    edits -= {TOKEN}
    assert len(edits) > 9000
    assert [edit for edit in edits if is_good(edit)] == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "prt1_",
            "prt1",
            "prt2_" + TOKEN[5:],
            "PRT1_" + TOKEN[5:],
            TOKEN[5:],
            TOKEN + "=",
            TOKEN + "==",
            TOKEN + "A",
        ),
        *(
            TOKEN * 2,
            TOKEN.swapcase(),
            TOKEN + "\n",
            "\n" + TOKEN,
            TOKEN + "\0",
            TOKEN.replace("_", "%5F", 1),
            "prt1_é",
        ),
        *("prt1_" + "A" * 10**6, "prt1_" + b64url(b"x" * 51), "prt1_" + b64url(b"x" * 53)),
    ],
)
def test_t19_only_the_exact_spelling_is_read(text: str) -> None:
    assert parse_refresh_token(text) is None or not is_good(text)


def test_neither_the_database_nor_the_key_alone_makes_a_token() -> None:
    other = SecretKeys.of(["zq7canary-other-" + "x" * 32])
    assert not is_good(TOKEN, keys=other)
    assert not is_good(TOKEN, seed=b"another".ljust(32))
    assert is_good(TOKEN, keys=SecretKeys((*other.keys, *KEYS.keys)))


def test_the_counter_and_the_session_are_part_of_the_mac() -> None:
    parsed = parse_refresh_token(TOKEN)
    assert parsed is not None
    assert not is_authentic(KEYS, RefreshToken(ID, 8, parsed.mac), SEED)
    assert not is_authentic(KEYS, RefreshToken(UUID(int=ID.int + 1), 7, parsed.mac), SEED)


def test_keys_of_two_purposes_have_nothing_in_common() -> None:
    purposes = ("refresh", "jwe", "hs256", "cursor", "fingerprint")
    assert len({KEYS.newest.derive(purpose) for purpose in purposes}) == len(purposes)


@given(st.text(max_size=120) | st.text("prt1_AZaz09-=", max_size=80).map(lambda tail: "prt1_" + tail))
def test_t18_whatever_the_text_it_is_parsed_or_not(text: str) -> None:
    assert not is_good(text)


@given(st.binary(max_size=80))
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = b64url(data)
    assert parse_b64url(text) == data
    for other in (text + "=", text + "\n", " " + text, text + "A==", text.replace("-", "+").replace("_", "/") + "/"):
        assert parse_b64url(other) != data
