"""Which passwords may be set."""

import runpy
import sys
import tracemalloc
import unicodedata
from importlib.metadata import distribution
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propusk.errors import InvalidInput
from propusk.passwords.common import is_common, read_entries
from propusk.passwords.policy import check_password
from propusk.settings import PasswordSettings

SETTINGS = PasswordSettings()
WORDS = ["ada.byron@analytical.example", "Countess_1815", "Ada Lovelace", "propusk", "login.engines.example"]


def code_of(password: str, words: list[str] = WORDS, settings: PasswordSettings = SETTINGS) -> str | None:
    """The code of the refusal; None if the password may be set."""
    try:
        check_password(settings, password, words=words, field="new_password")
    except InvalidInput as refusal:
        [fault] = refusal.errors
        assert fault.field == "new_password"
        assert not password or password not in fault.message
        return fault.code
    return None


def most_common(count: int) -> list[str]:
    lists = runpy.run_path(str(distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")))["FREQUENCY_LISTS"]
    return [word for word in lists["passwords"] if len(word) >= 8][:count]


@pytest.mark.parametrize(
    "password",
    [
        "zq7canary",
        "correct horse battery staple",
        "old horse",
        "Tr0ub4dor&3",
        "k7#Qz!m2",
        "xkqjvwzp",
        "пять коней",
        "五匹の馬が走る夜",
        "🐎🐎🔋📎🏛🎩🧦🥝",
        "ada loves horses",
        "my propusk is blue",
        "lovelace wrote notes",
        "8431902756113",
        "abcxyzmnoefg789rst",
    ],
)
def test_a_password_that_is_not_easily_guessed_may_be_set(password: str) -> None:
    assert code_of(password) is None


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=14, max_size=60))
def test_nothing_but_a_refusal_is_raised(password: str) -> None:
    assert code_of(password, ["a", "", "1", "@", "\ud800", "🐎"]) in {None, "weak_password"}


# Length


def test_length_is_counted_after_nfc() -> None:
    assert code_of("zq7cané") == "too_short"
    assert code_of(unicodedata.normalize("NFD", "zq7cané")) == "too_short"
    assert code_of(unicodedata.normalize("NFD", "zq7canaé")) is None
    assert code_of("") == "too_short"


def test_the_shortest_length_is_a_setting() -> None:
    settings = PasswordSettings(min_length=15)
    assert code_of("zq7canary-horse"[:14], settings=settings) == "too_short"
    assert code_of("zq7canary-horse", settings=settings) is None


def test_t07_a_password_of_256_characters_may_be_set_and_a_longer_one_not() -> None:
    horses = "".join(chr(0x1F400 + index * 37 % 256) for index in range(256))
    assert code_of(horses) is None
    assert code_of(horses + "x") == "too_long"
    assert code_of("e\u0301" * 257) == "too_long"


def test_t07_a_megabyte_is_refused_before_it_is_looked_at() -> None:
    password = "zq7canary" * (1 << 17)
    tracemalloc.start()
    try:
        assert code_of(password) == "too_long"
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()


def test_t08_no_character_is_cut_from_what_is_judged() -> None:
    assert code_of("zq7canary\1") is None
    assert code_of("password\1") == "weak_password"
    assert code_of("zq7canary\ud800") == "not_text"
    assert code_of("zq7canary\0 two three") == "not_text", "as every login refuses it"


# The most common


@pytest.mark.parametrize("spelled", [str, str.upper, str.title])
def test_t10_the_3000_most_common_are_refused_in_any_case(spelled: Any) -> None:
    assert len(most_common(3000)) == 3000
    assert [word for word in most_common(3000) if code_of(spelled(word)) != "weak_password"] == []


@pytest.mark.parametrize("around", ["{}1", "{}123!", "{}2024!", "1{}", "!{}!", "{}{}", "{}{}1", "{}12345678"])
def test_t10_a_common_password_does_not_get_better_by_what_is_around_it(around: str) -> None:
    words = [word for word in most_common(3000)[::5] if word.isalpha()]
    assert len(words) > 300
    assert [word for word in words if code_of(around.format(word, word)) != "weak_password"] == []


@pytest.mark.parametrize(
    "password",
    # From the lists that are published every year, typed by hand, so that the list is not only compared with itself.
    """
    password 12345678 123456789 1234567890 qwertyuiop password1 Password1 password123 Password123! qwerty123 iloveyou
    11111111 00000000 88888888 123123123 987654321 abcd1234 1q2w3e4r 1q2w3e4r5t 1qaz2wsx qazwsxedc princess sunshine
    football baseball superman trustno1 michelle jennifer jessica1 computer internet samsung1 charlie1 welcome1
    Welcome123 letmein1 dragon123 monkey123 admin123 Admin@123 administrator P@ssw0rd Passw0rd passw0rd1 changeme
    Qwerty123! asdfghjkl zxcvbnm123 aa123456 a1234567 123456789a 12341234 1234qwer qwer1234 asdf1234 liverpool chelsea1
    Summer2024! Winter2023 January1! Monday12 football1! starwars minecraft pokemon1 naruto123 1password 1234567a
    """.split(),  # noqa: SIM905
)
def test_t10_what_everybody_knows_is_refused(password: str) -> None:
    assert code_of(password, []) == "weak_password"


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaa",
        "a" * 256,
        "aaaabbbb",
        "abababababab",
        "abcabcabcabc",
        "xK9#xK9#xK9#",
        "abcdefgh",
        "ABCDEFGHIJ",
        "hgfedcba",
        "qwertyui",
        "poiuytrewq",
        "asdfghjkl;",
        "qwerty12345",
        "!@#$%^&*()",
        "йцукенгш",
        "абвгдежз",
        "0p9o8i7u6y",
        "xqzxqzxq",
        "01.01.1990",
        "1990-01-01",
        "+7 (900) 123-45-67",
        "ｐａｓｓｗｏｒｄ",
    ],
)
def test_t10_runs_repeats_dates_and_their_like_are_refused(password: str) -> None:
    assert code_of(password, []) == "weak_password"


def test_an_entry_of_the_list_is_found_whole_or_not_at_all() -> None:
    assert is_common("password")
    assert is_common("michelle")
    for text in ("", "\n", "sswor", "password,", "password\n12345678", "password\n"):
        assert not is_common(text)


@pytest.mark.parametrize(
    "source", [b"", b"FREQUENCY_LISTS = {'passwords': ['password', '123456']}", b"x = 'a,b'.split(',')"]
)
def test_lists_that_are_written_otherwise_are_an_error_and_no_password_is_taken_for_rare(source: bytes) -> None:
    with pytest.raises(RuntimeError, match="not written as they were"):
        read_entries(source)


# What the password may not be built from


@pytest.mark.parametrize(
    "password",
    [
        "ada.byron@analytical.example",
        "ADA.BYRON@analytical.example",
        "ada.byron1",
        "adabyron!!",
        "byron-815",
        "Byron48151623",
        "analytical",
        "Analytical#1",
        "4815analytical",
        "countess_1815",
        "Countess1815!",
        "countess99",
        "Ada Lovelace",
        "adalovelace",
        "LovelaceAda",
        "lovelace.ada.1815",
        "Lovelace48151623",
        "ada48151623",
        "adaadaada",
        "ada-ada-ada!",
        "propusk1",
        "Propusk2024!",
        "propuskpropusk",
        "propusk-lovelace",
        "login.engines.example",
        "engines1",
        "Engines.Example",
        "ＬＯＶＥＬＡＣＥ１",
        "lovelace\u00b2\u00b3",
    ],
)
def test_t10_a_password_built_from_what_is_known_of_its_owner_is_refused(password: str) -> None:
    assert code_of(password) == "weak_password"


def test_t10_names_in_other_scripts_count_too() -> None:
    assert code_of("Аверьян1815", ["Аверьян Лавлейсов"]) == "weak_password"
    assert code_of("王伟48151623", ["王伟"]) == "weak_password"
    assert code_of("WEISSKOPF-815", ["Weißkopf"]) == "weak_password"


@pytest.mark.parametrize(
    ("word", "password"),
    [
        ("zorvanek1815", "zorvanek99"),  # without its digits
        ("q7w8x9zk@mail.example", "Q7W8X9ZK!"),  # a piece of it, digits and all
        ("k.x.z.q.w.p.v.j", "kxzqwpvj"),  # without its punctuation
        ("Zor Zorvanek", "zorvanek-zor"),  # one piece within another
    ],
)
def test_t10_a_word_counts_whole_and_in_pieces(word: str, password: str) -> None:
    assert code_of(password, [word]) == "weak_password"
    assert code_of(password, []) is None


def test_words_of_a_letter_or_two_and_numbers_in_them_do_not_count() -> None:
    assert code_of("jo48151623", ["Jo", "jo@a.example"]) is None
    assert code_of("4815162342108", ["jo@127.0.0.1", "108"]) is None


# Work


def work_for(password: str, words: list[str]) -> int:
    """How many calls, of Python or of C, it takes to judge a password: work, without a clock."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    assert not is_common("zq7canary")  # the list is read at its first use
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        code_of(password, words)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("piece", ["a", "ab", "aab", "1", "1a", "qwerty", "password", "!a", "\ufdfa", "adaad", "ß"])
def test_t51_work_grows_no_faster_than_the_password(piece: str) -> None:
    def make(length: int) -> str:
        return (piece * length)[: length - 1] + "~"

    assert work_for(make(200), WORDS) / work_for(make(100), WORDS) < 2.5


def test_t51_a_word_counts_up_to_a_bound() -> None:
    once = work_for("zq7canary", ["ada." * 100])
    assert work_for("zq7canary", ["ada." * 100_000]) < 2 * once
