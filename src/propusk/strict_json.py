"""One strict reader of JSON, for whatever comes from outside: request bodies, the parts of tokens."""

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 32

# Linear whatever the text: possessive (`++`), and that on single characters only, since Python before 3.11.5 loses its
# place in possessive groups (CPython issue 106052).
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*"?', re.DOTALL)


class TooDeep(ValueError):
    """More than `MAX_DEPTH` levels."""


def load_json(data: bytes) -> Any:
    """One JSON document in UTF-8 (RFC 8259), with the strictness of I-JSON (RFC 7493, sections 2.1 to 2.3).

    Strings may still hold NUL or lone surrogates, which can only come by an escape.

    Raises:
        TooDeep: more than `MAX_DEPTH` levels.
        ValueError: not JSON, not UTF-8, empty, a byte order mark, a name twice in one object, NaN or infinity, or a
            number that no double can hold. It holds the whole document: let it go along with nothing.
    """
    if _depth(data) > MAX_DEPTH:
        raise TooDeep
    return json.loads(
        data.decode("utf-8"),
        object_pairs_hook=_object,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
    )


def _depth(data: bytes) -> int:
    """Levels of brackets, counted without parsing: Python's parser answers depth with a RecursionError."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("no double can hold this number")
    return number


def _whole(text: str) -> int:
    # The float goes first: `int` takes quadratic time, and Python's own bound on digits is the host's to change.
    _finite(text)
    return int(text)
