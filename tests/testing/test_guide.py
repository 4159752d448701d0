"""The guide to testing, executed: its app and its tests, in a project of their own."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"
BLOCK = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANYIO = '@pytest.fixture\ndef anyio_backend() -> str:\n    return "asyncio"\n\n\n'
# What hosts set, too, and the one warning that Starlette gives for its own use of httpx.
STRICT = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings =
    error
    ignore:Using `httpx` with
"""


def files() -> dict[str, str]:
    found = dict(BLOCK.findall(GUIDE.read_text()))
    assert len(found) == GUIDE.read_text().count("```python"), "a block without a name is not run"
    return found


def test_the_guide_does_what_it_says(pytester: pytest.Pytester) -> None:
    pytester.makeini(STRICT)
    pytester.makepyfile(**files())

    pytester.runpytest_inprocess().assert_outcomes(passed=7)


def test_with_pytest_asyncio_it_does_the_same(pytester: pytest.Pytester) -> None:
    pytester.makeini(STRICT)
    texts = {name: text.replace(ANYIO, "").replace("mark.anyio", "mark.asyncio") for name, text in files().items()}
    texts["test_lifespan"] = texts["test_lifespan"].replace(
        "@pytest.fixture\nasync def propusk(", "@pytest_asyncio.fixture\nasync def propusk("
    )
    texts["test_lifespan"] = "import pytest_asyncio\n" + texts["test_lifespan"]
    pytester.makepyfile(**texts)

    pytester.runpytest_inprocess().assert_outcomes(passed=7)
    pytester.runpytest_inprocess("-o", "asyncio_mode=auto").assert_outcomes(passed=7)
