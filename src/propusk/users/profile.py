"""The fields that people fill in freely, and their bounds."""

import json
import re
import unicodedata
from typing import Any

from propusk.errors import invalid

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


def check_profile(profile: dict[str, Any] | None) -> dict[str, Any]:
    """The profile, or a refusal: at most 4 KiB as JSON."""
    profile = profile or {}
    try:
        size = len(json.dumps(profile, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    except ValueError:
        raise invalid("profile", "invalid", "A profile is a JSON object.") from None
    if size > PROFILE_BYTES:
        raise invalid("profile", "too_long", "A profile has at most 4 KiB as JSON.")
    return profile
