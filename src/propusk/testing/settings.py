"""Settings for tests: cheap hashing, which production refuses, and no limits in the way."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from propusk.settings import LimitSettings, PasswordSettings, Settings

CHEAP = PasswordSettings(memory_kib=8, iterations=1)
"""A hash in a fraction of a millisecond. `environment = production` refuses it."""
_SECRET_KEY = "known to everybody who reads this: for tests"
_OUT_OF_THE_WAY = "1000000/1d"


def settings_for_tests(folder: Path, **chosen: Any) -> Settings:
    """Settings of an installation that lives as long as a test. The environment is not read.

    Mails are sent when the test looks for them, and jobs run when it says so, not by themselves.

    Args:
        folder: for the SQLite file and the keys; pytest's `tmp_path` will do.
        chosen: any settings, by name; they win over ours.
    """
    ours: Mapping[str, Any] = {
        "data_dir": folder,
        "secret_key": [SecretStr(_SECRET_KEY)],
        "password": CHEAP,
        "limits": limits(),
        "jobs_inline": False,
    }
    return Settings(**{**ours, **chosen})


def limits(**chosen: str) -> LimitSettings:
    """Some limits in the words of the settings, the others out of the way: `limits(register="2/1h")`."""
    everything = dict.fromkeys((field.name for field in fields(LimitSettings)), _OUT_OF_THE_WAY)
    return LimitSettings(**(everything | chosen))  # type: ignore[arg-type]
