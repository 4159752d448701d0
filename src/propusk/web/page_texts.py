"""The words of the hosted pages: one file for each language, `templates/en.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def page_texts(language: str) -> Mapping[str, Any]:
    """Pages by name, each with its `title`, its `text` (paragraphs) and the words on its buttons and fields; `refusals`
    and `faults` by their codes.
    """
    return tomllib.loads((Path(__file__).parent / "templates" / f"{language}.toml").read_text("utf-8"))
