"""Request bodies: bytes in, values out. Stricter than `json` and `urllib`, which take what databases then refuse."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from propusk.errors import FieldError, InvalidInput, MalformedJson, UnsupportedMediaType

MAX_BODY = 64 * 1024
MAX_DEPTH = 32
MAX_FORM_FIELDS = 50
MAX_ERRORS = 20
"""Faults named in one answer: a body of ten thousand wrong fields shall not get an answer ten times its size."""

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

# Linear whatever the text: possessive quantifiers (`++`) where two could share it. On single characters only, since
# Python before 3.11.5 loses its place in possessive groups (CPython issue 106052).
_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER = rf'[ \t]*+;[ \t]*+(?:({_TCHARS})=({_TCHARS}|"[^"\\]*+"))?'
_MEDIA_TYPE = re.compile(rf"({_TCHARS}/{_TCHARS})((?:{_PARAMETER})*)[ \t]*+")
_JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*"?', re.DOTALL)
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def media_type(values: list[bytes]) -> str | None:
    """The media type of a body, in lower case, without parameters (RFC 9110, section 8.3).

    Args:
        values: every Content-Type header of the request.
    Returns:
        The type, or None without any header.
    Raises:
        UnsupportedMediaType: several headers, no media type at all, or a charset other than UTF-8.
    """
    if not values:
        return None
    match = _MEDIA_TYPE.fullmatch(values[0].decode("latin-1"))
    if match is None or len(values) > 1:
        raise UnsupportedMediaType
    for name, value in re.findall(_PARAMETER, match[2]):
        if name.lower() == "charset" and value.strip('"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaType
    return match[1].lower()


def parse_json(body: bytes) -> Any:
    """One JSON document in UTF-8 (RFC 8259), with the strictness of I-JSON (RFC 7493, sections 2.1 to 2.3).

    Raises:
        MalformedJson: not JSON, not UTF-8, empty, a byte order mark, a name twice in one object, NaN or infinity,
            a number that no double can hold, or more than `MAX_DEPTH` levels.
        InvalidInput: a string holds NUL or a lone surrogate, which databases refuse (`invalid_characters`).
    """
    if _depth(body) > MAX_DEPTH:
        raise MalformedJson(f"The JSON document is nested deeper than {MAX_DEPTH} levels.")
    value = _load(body)
    # Raw NUL and raw surrogates are no JSON and no UTF-8: only an escape can bring one in.
    if b"\\u" in body:
        _check_strings(_walk(value, ()))
    return value


def _depth(body: bytes) -> int:
    """Levels of brackets, counted without parsing: Python's parser answers depth with a RecursionError."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _JSON_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _load(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except ValueError:
        fault = MalformedJson()
    # Outside the except: the parser's error holds the whole document, secrets included, and would go along as context.
    raise fault


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


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string of a document with its path; a key goes with the path of its object."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield path, key
            yield from _walk(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*path, index))


def _check_strings(found: Iterable[tuple[Iterable[str | int], str]]) -> None:
    bad = dict.fromkeys(field_path(path) for path, text in found if _NOT_STORABLE.search(text))
    if bad:
        message = "NUL and lone surrogates are not allowed."
        raise InvalidInput([FieldError(field, "invalid_characters", message) for field in list(bad)[:MAX_ERRORS]])


def check_texts(named: Iterable[tuple[str, str]]) -> None:
    """Refuse NUL and lone surrogates in names and values, as `parse_json` does.

    Raises:
        InvalidInput: `invalid_characters`, naming each field.
    """
    pairs = list(named)
    _check_strings([((name,), value) for name, value in pairs] + [((), name) for name, _ in pairs])


def field_path(parts: Iterable[str | int]) -> str:
    """A dotted path for an error. A name from outside is told only when it is short and plain, else as `?`."""
    names = [str(part) if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "?" for part in parts]
    return ".".join(names) or "body"


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body (WHATWG URL, section 5.1; RFC 6749, appendix B).

    Raises:
        MalformedJson: more than `MAX_FORM_FIELDS` fields, a field twice (RFC 6749, section 3.2), a broken percent
            escape, or not UTF-8. There is one code for a body that cannot be read.
        InvalidInput: NUL in a name or a value (`invalid_characters`).
    """
    if body.count(b"&") >= MAX_FORM_FIELDS:
        raise MalformedJson(f"The form has more than {MAX_FORM_FIELDS} fields.")
    try:
        pairs = [_form_field(piece) for piece in body.split(b"&") if piece]
    except ValueError:
        pairs = None
    if pairs is None:
        raise MalformedJson("The form is not well-formed: percent escapes of UTF-8 are needed.")
    check_texts(pairs)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise MalformedJson("A field of the form stands there twice.")
    return found


def _form_field(piece: bytes) -> tuple[str, str]:
    name, _, value = piece.partition(b"=")
    return decode_form_text(name), decode_form_text(value)


def decode_form_text(raw: bytes) -> str:
    """Undo form encoding: `+` is a space, `%xx` a byte, the bytes are UTF-8.

    Raises:
        ValueError: a `%` without two hex digits, or not UTF-8.
    """
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
        raise ValueError("a broken percent escape")
    spaced = raw.replace(b"+", b" ")
    return re.sub(rb"%(..)", lambda escape: bytes([int(escape[1], 16)]), spaced).decode("utf-8")


def parse_body(types: list[bytes], body: bytes, *, takes_form: bool) -> Any:
    """The value of a body, by its media type.

    Args:
        types: every Content-Type header of the request.
        body: its bytes, all of them.
        takes_form: whether a form is taken as well as JSON.
    Raises:
        UnsupportedMediaType: neither JSON nor, where it is taken, a form.
        MalformedJson, InvalidInput: see `parse_json` and `parse_form`.
    """
    kind = media_type(types)
    if kind == FORM and takes_form:
        return parse_form(body)
    if not body:
        raise MalformedJson("A JSON document is needed; the body is empty.")
    if kind != JSON:
        raise UnsupportedMediaType
    return parse_json(body)
