"""The most common passwords, names and words: the lists that come with zxcvbn, read without a network."""

import ast
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

ENTRIES = 90_000
"""At least so many there must be."""


def read_entries(source: bytes) -> bytes:
    """All entries of zxcvbn's `frequency_lists.py`, most common first, a line each.

    Raises:
        RuntimeError: it is not written as it was. Better no answer than one that calls every password rare.
    """
    # A dictionary of lists, each written as "one,two,…".split(","). All of them: each password stands only in the one
    # where it ranks highest, `michelle` among the names.
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    lists = [ast.literal_eval(call.func.value) for call in calls if isinstance(call.func, ast.Attribute)]
    text = f"\n{','.join(lists)}\n".replace(",", "\n").encode()
    if text.count(b"\n") < ENTRIES:
        raise RuntimeError("the lists of common passwords that come with zxcvbn are not written as they were")
    return text


@cache
def _lists() -> bytes:
    # One piece of bytes takes a fraction of what a set takes. The file is only parsed: run, it makes an object of each
    # entry, whose memory the heap keeps; and importing zxcvbn builds dictionaries for an estimate of strength that we
    # do not make: it is not linear in time.
    return read_entries(Path(str(distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py"))).read_bytes())


def is_common(text: str) -> bool:
    """Whether this, in lower case, is among the 94 000 entries. Linear in their size."""
    return bool(text) and "\n" not in text and f"\n{text}\n".encode() in _lists()
