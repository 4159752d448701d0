"""Request bodies: bytes in, values out. Stricter than `json` and `urllib`, which take what databases then refuse."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from propusk.errors import FieldError, InvalidInput, MalformedJson, UnsupportedMediaType
from propusk.faults import MAX_ERRORS, field_path
from propusk.strict_json import MAX_DEPTH, TooDeep, load_json
from propusk.web.headers import header_values

MAX_BODY = 64 * 1024
MAX_FORM_FIELDS = 50

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

# Linear whatever the text: possessive quantifiers (`++`) where two could share it. On single characters only, since
# Python before 3.11.5 loses its place in possessive groups (CPython issue 106052).
_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PARAMETER = rf'[ \t]*+;[ \t]*+(?:({_TCHARS})=({_TCHARS}|"[^"\\]*+"))?'
_MEDIA_TYPE = re.compile(rf"({_TCHARS}/{_TCHARS})((?:{_PARAMETER})*)[ \t]*+")
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


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


def is_form(scope: Mapping[str, Any]) -> bool:
    """Whether the body of a request calls itself a form.

    Raises:
        UnsupportedMediaType: see `media_type`.
    """
    return media_type(header_values(scope, b"content-type")) == FORM


def parse_json(body: bytes) -> Any:
    """One JSON document in UTF-8 (RFC 8259), with the strictness of I-JSON (RFC 7493, sections 2.1 to 2.3).

    Raises:
        MalformedJson: not JSON, not UTF-8, empty, a byte order mark, a name twice in one object, NaN or infinity,
            a number that no double can hold, or more than `MAX_DEPTH` levels.
        InvalidInput: a string holds NUL or a lone surrogate, which databases refuse (`invalid_characters`).
    """
    value = _load(body)
    # Raw NUL and raw surrogates are no JSON and no UTF-8: only an escape can bring one in.
    if b"\\u" in body:
        _check_strings(_walk(value, ()))
    return value


def _load(body: bytes) -> Any:
    try:
        return load_json(body)
    except TooDeep:
        fault = MalformedJson(f"The JSON document is nested deeper than {MAX_DEPTH} levels.")
    except ValueError:
        fault = MalformedJson()
    # Outside the except: the parser's error holds the whole document, secrets included, and would go along as context.
    raise fault


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


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of an `application/x-www-form-urlencoded` body (WHATWG URL, section 5.1; RFC 6749, appendix B).

    Raises:
        MalformedJson: more than `MAX_FORM_FIELDS` fields, a field twice, a broken percent escape, or not UTF-8. There
            is one code for a body that cannot be read.
        InvalidInput: see `as_fields`.
    """
    if body.count(b"&") >= MAX_FORM_FIELDS:
        raise MalformedJson(f"The form has more than {MAX_FORM_FIELDS} fields.")
    try:
        pairs = [_form_field(piece) for piece in body.split(b"&") if piece]
    except ValueError:
        pairs = None
    if pairs is None:
        raise MalformedJson("The form is not well-formed: percent escapes of UTF-8 are needed.")
    return as_fields(pairs)


def as_fields(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The fields of a form.

    Raises:
        MalformedJson: one stands there twice (RFC 6749, section 3.2).
        InvalidInput: NUL in a name or a value (`invalid_characters`).
    """
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
