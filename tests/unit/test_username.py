"""What a username may look like, and when two are the same."""

import pytest

from propusk.errors import InvalidInput
from propusk.users.username import Username, normalise_username


@pytest.mark.parametrize("name", ["ada", "Ada_99", "a-b.c", "...", "A" * 32])
def test_a_username_is_kept_as_typed_and_found_without_regard_to_case(name: str) -> None:
    assert normalise_username(name) == Username(name, name.lower())


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 33, "ada lovelace", " ada", "ada\n", "ada@x", "ada\0", "a/b", "été", "zq7canary\ud800"]
)
def test_a_username_outside_the_pattern_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        normalise_username(name, field="name")
    [fault] = refusal.value.errors
    assert (fault.field, fault.code) == ("name", "bad_username")


@pytest.mark.parametrize("name", ["mıke", "mi\u212ae", "аda", "ａda", "ada\u200b", "ad\u0430", "ſam", "ada\u0301"])
def test_t40_no_lookalike_from_another_script_is_a_username(name: str) -> None:
    with pytest.raises(InvalidInput):
        normalise_username(name)


def test_t40_two_usernames_that_differ_by_case_are_the_same() -> None:
    assert normalise_username("ADA.lovelace").key == normalise_username("ada.LOVELACE").key == "ada.lovelace"


def test_t51_a_long_username_is_refused() -> None:
    with pytest.raises(InvalidInput):
        normalise_username("a" * (1 << 20))
