"""All settings, one by one: what each means, what it is set to and where, and which of it may be shown."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from propusk.cli.run import describe_database
from propusk.setting_types import format_duration
from propusk.settings import PREFIX, LimitSettings, PasswordSettings, Settings

_GROUPS: Mapping[str, Any] = {"password": PasswordSettings, "limits": LimitSettings}
_MASK = "********"
Sources = list[tuple[str, set[str]]]


@dataclass(frozen=True)
class Setting:
    """One setting: its name (`limits.refresh`), its name in the environment, what it means."""

    name: str
    variable: str
    default: str
    description: str


def all_settings() -> Iterator[Setting]:
    """Every setting, in the order of the class; those of a group by their own names."""
    for name, info in Settings.model_fields.items():
        if name in _GROUPS:
            for inner, inner_info in _GROUPS[name].__pydantic_fields__.items():
                yield _setting(f"{name}.{inner}", inner_info)
        else:
            yield _setting(name, info)


def _setting(name: str, info: FieldInfo) -> Setting:
    return Setting(name, _variable(name), show(info.get_default(call_default_factory=False)), info.description or "")


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace(".", "__")


def shown_value(settings: Settings, name: str) -> str:
    """What a setting is set to, without anything secret."""
    if name == "database_url":
        return describe_database(settings)
    if name == "mail_url" and (server := settings.mail_server):
        return server.masked()
    if name == "redis_url" and (redis := settings.redis_server):
        return redis.masked()
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    if name == "introspection_clients":
        value = [f"{client.partition(':')[0]}:{_MASK}" for client in value]
    return show(value)


def show(value: Any) -> str:
    """A value as one would write it, secrets masked; nothing at all is `none`."""
    match value:
        case SecretStr():
            return _MASK
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case list() | tuple():
            return ",".join(show(item) for item in value) or "none"
        case _:
            return "none" if value is None else str(value)


def sources() -> Sources:
    """Where settings come from, the strongest first, each with the variables that it sets."""
    toml = Path("propusk.toml")
    table = tomllib.loads(toml.read_text()) if toml.is_file() else {}
    return [
        ("environment", {name.upper() for name in os.environ}),
        (".env", {name.upper() for name in dotenv_values(".env")}),
        ("propusk.toml", set(_variables(table, PREFIX))),
    ]


def _variables(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _variables(value, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper()


def source_of(name: str, known: Sources) -> str:
    """Where a setting comes from; a group may be set as a whole."""
    names = {_variable(name), _variable(name.partition(".")[0])}
    return next((source for source, variables in known if names & variables), "default")


def reference() -> str:
    """docs/reference/settings.md."""
    rows = [f"| `{s.name}` | `{s.variable}` | `{s.default}` | {s.description} |" for s in all_settings()]
    return "\n".join(
        [_INTRODUCTION, "| setting | in the environment | default | meaning |", "| --- | --- | --- | --- |", *rows]
    )


_INTRODUCTION = """\
# Settings

Made by `propusk config --reference` from the descriptions in `src/propusk/settings.py`.

Settings are read from the environment, then from `.env`, then from `propusk.toml` (names as in the first column, groups
as tables); the first that has a setting wins. A `PROPUSK_` name that is no setting stops the start, and so does a value
that cannot be. `propusk config` shows what is in force and where each comes from, with secrets masked.

Durations are a number and a unit: `90s`, `10m`, `2h`, `30d`. Lists go by commas. A limit is a count and a window:
`10/15m`.
"""
