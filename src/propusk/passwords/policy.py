"""Which passwords may be set."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from propusk.crypto.passwords import MAX_LENGTH, normal_form
from propusk.errors import invalid
from propusk.passwords.common import is_common
from propusk.settings import PasswordSettings

_LATIN_ROWS = ("1234567890-=", "!@#$%^&*()_+", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./")
_RUSSIAN_ROWS = ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю")
_ON_A_ROW = frozenset(pair for row in _LATIN_ROWS + _RUSSIAN_ROWS for way in (row, row[::-1]) for pair in pairwise(way))
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def check_password(settings: PasswordSettings, password: str, *, words: Iterable[str], field: str = "password") -> None:
    """Refuse a password that may not be set. Length is counted in characters of NFC.

    Args:
        words: what the password may not be built from: the user's e-mail, username and name, ours and our host's.
            They are taken whole and in parts.
    Raises:
        InvalidInput: `too_short`, `too_long` (over 256), `weak_password`, `not_text` (NUL, lone surrogates).
    """
    text = normal_form(password)
    # No login takes NUL: whoever set such a password would have locked themselves out.
    if "\0" in password or text is None:
        if len(password) <= MAX_LENGTH:
            raise invalid(field, "not_text", "This is no text: NUL and lone surrogates are not allowed.")
        raise invalid(field, "too_long", f"Use at most {MAX_LENGTH} characters.")
    if len(text) < settings.min_length:
        raise invalid(field, "too_short", f"Use at least {settings.min_length} characters.")
    folded = _fold(text)
    if _is_built_from(folded, words):
        raise invalid(field, "weak_password", "Do not build it from your own name or address, nor from ours.")
    if _is_guessable(folded):
        raise invalid(field, "weak_password", "This is among the first that anybody would try; a few words are better.")


def _fold(text: str) -> str:
    """For comparison alone: without case and typographic variants such as full-width letters."""
    return unicodedata.normalize("NFKC", text).casefold()


def _is_built_from(folded: str, words: Iterable[str]) -> bool:
    """Whether nothing but digits and punctuation is left once the words and their parts are taken out."""
    rest = "".join(filter(str.isalnum, folded))
    length = len(rest)
    for part in sorted({part for word in words for part in _parts(word)}, key=len, reverse=True):
        rest = rest.replace(part, "")
    return len(rest) < length and not any(map(str.isalpha, rest))


def _parts(word: str) -> Iterable[str]:
    """`ada.l99@example.com` as it stands without punctuation, by its pieces, and by these without their digits."""
    folded = _fold(word[:320])
    pieces = ["".join(filter(str.isalnum, folded)), *re.split(r"[\W_]+", folded), *_NOT_LETTERS.split(folded)]
    # Three bytes are three Latin letters, or one of a script whose names are as short as that.
    return (piece for piece in pieces if len(piece.encode()) >= 3 and not piece.isdigit())


def _is_guessable(folded: str) -> bool:
    text = _unrepeat(folded)
    if text != folded and len(text) < 8:
        return True
    if len(set(text)) <= 3 or _is_number(text) or _is_run(text) or is_common(text):
        return True
    if _is_run(text[::2]) and _is_run(text[1::2]):  # 1q2w3e4r: two runs, by turns
        return True
    core, around = _core(text)
    return (len(around) <= 6 or _is_run(around)) and is_common(_unrepeat(core))


def _core(text: str) -> tuple[str, str]:
    """What stands between the first and the last letter, and what stands around that: `Summer`, `2024!`."""
    letters = [index for index, char in enumerate(text) if char.isalpha()]
    if not letters:
        return "", text
    return text[letters[0] : letters[-1] + 1], text[: letters[0]] + text[letters[-1] + 1 :]


def _unrepeat(text: str) -> str:
    """The shortest piece that makes up the text by being repeated: the text itself, mostly."""
    return text[: (text + text).find(text, 1)]


def _is_number(text: str) -> bool:
    """A date or a telephone number, however it is written."""
    return sum(map(str.isdigit, text)) <= 12 and all(char.isdigit() or char in " -./:+()" for char in text)


def _is_run(text: str) -> bool:
    """Whether it is a few runs of equal characters, or of neighbours in the alphabet or on a keyboard."""
    breaks = sum(abs(ord(a) - ord(b)) > 1 and (a, b) not in _ON_A_ROW for a, b in pairwise(text))
    return breaks <= 3 and 3 * (breaks + 1) <= len(text)
