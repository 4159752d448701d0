"""Pydantic's faults as ours: stable words and sentences that never hold what was submitted."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic_core.core_schema import ErrorType

from propusk.errors import FieldError

MAX_ERRORS = 20
"""Faults named in one answer: a body of ten thousand wrong fields shall not get an answer ten times its size."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BUILT_IN = frozenset(get_args(ErrorType))
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_INVALID = ("invalid", "This is not valid here.")
_NOT_A_TIME = ("not_a_time", "A time in the form of RFC 3339 is needed.")
_NOT_A_NUMBER = ("wrong_type", "A number is needed.")
_NOT_ALLOWED = ("not_a_choice", "One of these is needed: {expected}.")

# Filled in from the schema (`{max_length}`), never from the input.
_EXACT = {
    "missing": ("missing", "This field is required."),
    "extra_forbidden": ("extra_forbidden", "There is no such field."),
    "string_too_short": ("too_short", "At least {min_length} characters are needed."),
    "string_too_long": ("too_long", "At most {max_length} characters are allowed."),
    "bytes_too_short": ("too_short", "At least {min_length} bytes are needed."),
    "bytes_too_long": ("too_long", "At most {max_length} bytes are allowed."),
    "too_short": ("too_short", "At least {min_length} items are needed."),
    "too_long": ("too_long", "At most {max_length} items are allowed."),
    "url_too_long": ("too_long", "At most {max_length} characters are allowed."),
    "greater_than": ("out_of_range", "More than {gt} is needed."),
    "greater_than_equal": ("out_of_range", "At least {ge} is needed."),
    "less_than": ("out_of_range", "Less than {lt} is needed."),
    "less_than_equal": ("out_of_range", "At most {le} is allowed."),
    "int_parsing_size": ("out_of_range", "This number is too large."),
    "finite_number": ("out_of_range", "A finite number is needed."),
    "string_type": ("wrong_type", "A string is needed."),
    "string_unicode": ("invalid_characters", "NUL and lone surrogates are not allowed."),
    "int_type": ("wrong_type", "A whole number is needed."),
    "int_parsing": ("wrong_type", "A whole number is needed."),
    "int_from_float": ("wrong_type", "A whole number is needed."),
    "bool_type": ("wrong_type", "true or false is needed."),
    "bool_parsing": ("wrong_type", "true or false is needed."),
    "float_type": _NOT_A_NUMBER,
    "float_parsing": _NOT_A_NUMBER,
    "decimal_type": _NOT_A_NUMBER,
    "decimal_parsing": _NOT_A_NUMBER,
    "list_type": ("wrong_type", "A list is needed."),
    "dict_type": ("wrong_type", "An object is needed."),
    "mapping_type": ("wrong_type", "An object is needed."),
    "model_type": ("wrong_type", "An object is needed."),
    "model_attributes_type": ("wrong_type", "An object is needed."),
    "dataclass_type": ("wrong_type", "An object is needed."),
    "none_required": ("wrong_type", "null is needed."),
    "literal_error": _NOT_ALLOWED,
    "enum": _NOT_ALLOWED,
}
_BY_START = {
    "uuid_": ("not_a_uuid", "A UUID is needed."),
    "datetime_": _NOT_A_TIME,
    "date_": _NOT_A_TIME,
    "time_": _NOT_A_TIME,
    "timezone_": ("not_a_time", "A time with its offset from UTC is needed."),
}


def name_faults(faults: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """What pydantic found, at most `MAX_ERRORS` of it, in our words."""
    named = [FieldError(field_path(fault["loc"]), *_say(fault)) for fault in faults[:MAX_ERRORS]]
    return list(dict.fromkeys(named))


def _say(fault: Mapping[str, Any]) -> tuple[str, str]:
    """Code and message of one fault. A validator's own word (PydanticCustomError) is passed on as the code."""
    kind, context = str(fault["type"]), fault.get("ctx") or {}
    if kind in _BUILT_IN:
        code, message = _EXACT.get(kind) or next((w for s, w in _BY_START.items() if kind.startswith(s)), _INVALID)
        return code, message.format_map(context)
    if not _WORD.fullmatch(kind):
        return _INVALID
    # With a context the text was filled in, maybe from the input; without one it is what a validator's author wrote.
    return kind, _INVALID[1] if context else str(fault["msg"])


def field_path(parts: Iterable[str | int]) -> str:
    """A dotted path for an error. A name from outside is told only when it is short and plain, else as `?`."""
    names = [str(part) if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "?" for part in parts]
    return ".".join(names) or "body"
