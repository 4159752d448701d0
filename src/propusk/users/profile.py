"""The fields that people fill in freely, and their bounds."""

import json
import re
import unicodedata
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from propusk.context import Context
from propusk.errors import InvalidInput, invalid
from propusk.faults import name_faults
from propusk.settings import SettingsError

NAME_LENGTH = 200
PROFILE_BYTES = 4096
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")


def check_name(name: str | None) -> str | None:
    """The name in NFC, or a refusal: up to 200 characters, no control characters. Nothing but spaces is no name."""
    if name is None:
        return None
    # Measured in NFC, which can be longer. What is over four times the bound cannot shrink below it.
    if len(name) <= 4 * NAME_LENGTH:
        name = unicodedata.normalize("NFC", name).strip()
    if len(name) > NAME_LENGTH:
        raise invalid("name", "too_long", f"A name has at most {NAME_LENGTH} characters.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise invalid("name", "invalid_characters", "A name has no control characters.")
    return name or None


def check_locale(locale: str | None) -> str | None:
    """A language tag (RFC 5646) such as `en` or `ru-RU`, or a refusal."""
    if locale is not None and (len(locale) > 35 or not _LOCALE.fullmatch(locale)):
        raise invalid("locale", "bad_locale", "A locale is a language tag such as en or ru-RU.")
    return locale


def check_profile(ctx: Context, profile: dict[str, Any] | None) -> dict[str, Any]:
    """The profile, or a refusal: what the host's `user_fields` make of it, if there are such, at most 4 KiB as JSON."""
    profile = _as_fields(ctx, profile or {})
    try:
        size = len(json.dumps(profile, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    except ValueError:
        raise invalid("profile", "invalid", "A profile is a JSON object.") from None
    if size > PROFILE_BYTES:
        raise invalid("profile", "too_long", "A profile has at most 4 KiB as JSON.")
    return profile


def check_fields(fields: type[BaseModel]) -> None:
    """See that what a model writes can be read by it again.

    Raises:
        SettingsError: a field is written by a name that it is not read by.
    """
    by_name = fields.model_config.get("populate_by_name") or fields.model_config.get("validate_by_name")
    for name, field in fields.model_fields.items():
        written, read = field.serialization_alias or name, field.validation_alias or name
        names = read.choices if isinstance(read, AliasChoices) else [read]
        if written not in names and not (by_name and written == name):
            raise SettingsError(f"user_fields: {name} is written as {written} and not read so; give it one alias=")


def _as_fields(ctx: Context, profile: dict[str, Any]) -> dict[str, Any]:
    if ctx.host.user_fields is None:
        return profile
    try:
        model = ctx.host.user_fields.model_validate(profile)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    else:
        return _written(model)
    # Outside the except: pydantic's error holds what was submitted and would go along as context.
    raise InvalidInput(name_faults([{**fault, "loc": ("profile", *fault["loc"])} for fault in faults]))


def _written(model: BaseModel) -> dict[str, Any]:
    """What is stored of it: all but what it computes.

    Raises:
        SettingsError: it would be read otherwise, or not at all: `check_fields` looks at the outermost names only.
    """
    written = model.model_dump(mode="json", by_alias=True, round_trip=True)
    try:
        read = model.model_validate(written)
        same = read == model or read.model_dump(mode="json", by_alias=True, round_trip=True) == written
    except ValidationError:
        same = False
    if not same:
        name = type(model).__name__
        raise SettingsError(f"user_fields: {name} does not read what it writes; give each nested field one alias=")
    return written
