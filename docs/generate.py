"""Writes docs/reference from the code: `make docs`. A test fails when what is committed is stale."""

import json
import tempfile
from pathlib import Path
from typing import Any

from propusk.cli.settings_list import reference
from propusk.server import create_app
from propusk.settings import Settings
from propusk.web.routes.pages import refusal_classes

FOLDER = Path(__file__).with_name("reference")
_ERRORS = """# Errors

Every refusal is a problem document (RFC 9457, `application/problem+json`): `type` (the address of a page about the
code), `title`, `status`, `detail` (a sentence for people), `code` (for programs, and stable), and with 422 `errors`, a
list of `field`, `code` and `message`. No submitted value is ever repeated.

Made by `make docs` from `src/propusk/errors.py` and the routes.

| code | status | title | detail | answered by |
| --- | --- | --- | --- | --- |
"""
_MANY = 9


def documents() -> dict[str, str]:
    """The files of the reference, by name."""
    with tempfile.TemporaryDirectory() as folder:
        openapi = create_app(Settings.model_validate({"data_dir": folder})).openapi()
    return {
        "openapi.json": json.dumps(openapi, indent=2, ensure_ascii=False) + "\n",
        "errors.md": _errors(openapi),
        "settings.md": reference() + "\n",
    }


def _errors(openapi: dict[str, Any]) -> str:
    rows = sorted(refusal_classes().values(), key=lambda refusal: (refusal.status, refusal.code))
    return _ERRORS + "".join(
        f"| `{r.code}` | {r.status} | {r.title} | {r.detail} | {_who(openapi, r.code)} |\n" for r in rows
    )


def _who(openapi: dict[str, Any], code: str) -> str:
    """The operations that may answer so, unless they are many."""
    found = [
        f"`{operation['operationId']}`"
        for item in openapi["paths"].values()
        for operation in item.values()
        for response in operation["responses"].values()
        if code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    ]
    return ", ".join(sorted(found)) if 0 < len(found) < _MANY else "requests of every kind"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)
