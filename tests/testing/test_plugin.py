"""The plugin in runs of its own: what it costs who does not use it, and what it says to who forgot something."""

import subprocess
import sys

import pytest

STRICT = "[pytest]\nasyncio_default_fixture_loop_scope = function\nasyncio_mode = auto\nfilterwarnings = error\n"
APP = """
import pytest
from fastapi import FastAPI
from propusk import create_auth

@pytest.fixture
def propusk_app(propusk_settings, propusk_clock, propusk_mailer):
    app = FastAPI()
    create_auth(propusk_settings, clock=propusk_clock, mailer=propusk_mailer).install(app)
    return app
"""


@pytest.fixture(autouse=True)
def strict(pytester: pytest.Pytester) -> None:
    """Warnings are errors there, too."""
    pytester.makeini(STRICT)


def test_it_imports_next_to_nothing_in_the_runs_of_others() -> None:
    script = (
        "import sys, pytest, importlib.metadata\n"
        "(entry,) = importlib.metadata.entry_points(group='pytest11', name='propusk')\n"
        "before = set(sys.modules); entry.load()\n"
        "print(*{name for name in set(sys.modules) - before if name.split('.')[0] not in sys.stdlib_module_names})"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=True)

    assert set(ran.stdout.split()) == {"propusk", "propusk.testing", "propusk.testing.plugin"}


def test_its_fixtures_are_explained(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_inprocess("--fixtures", "-p", "no:randomly").stdout.str()

    for name in ("propusk", "propusk_app", "propusk_clock", "propusk_mailer", "propusk_settings", "propusk_sync"):
        assert f"\n{name} -- " in shown, name


def test_without_an_app_it_says_what_to_write(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(propusk): ...\ndef test_that(propusk_sync): ...")

    result = pytester.runpytest_inprocess()

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*propusk.testing does not know your app*", "*def propusk_app(propusk_settings*"])


@pytest.mark.parametrize(
    ("parts", "asked", "said"),
    [
        ("clock=propusk_clock", "mails", "*give the fixture propusk_mailer to create_auth*"),
        ("mailer=propusk_mailer", "clock", "*give the fixture propusk_clock to create_auth*"),
    ],
)
def test_an_app_that_was_given_too_little_says_so(pytester: pytest.Pytester, parts: str, asked: str, said: str) -> None:
    pytester.makeconftest(APP.replace("clock=propusk_clock, mailer=propusk_mailer", parts))
    pytester.makepyfile(f"def test_it(propusk): propusk.{asked}")

    result = pytester.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([said])


def test_an_app_without_propusk_says_so(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import fastapi, pytest\n@pytest.fixture\ndef propusk_app(): return fastapi.FastAPI()")
    pytester.makepyfile("def test_it(propusk): ...")

    result = pytester.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Propusk is not installed in this app: call auth.install(app)*"])


def test_without_httpx_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    # None in its place is how Python itself says that there is no such module.
    pytester.makeconftest("import sys\nsys.modules['httpx'] = sys.modules['httpx2'] = None\n" + APP)
    pytester.makepyfile(
        "async def test_users(propusk): await propusk.log_in(await propusk.user())\n"
        "async def test_clients(propusk): await propusk.client()\n"
    )

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the clients of propusk.testing need httpx: pip install httpx*"])


def test_each_test_has_a_database_of_its_own_and_leaves_nothing_open(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        import asyncio, gc, threading
        import pytest

        @pytest.mark.parametrize("n", range(5))
        async def test_it(propusk, n):
            client = await propusk.client(await propusk.user("ada@example.com"))
            assert (await client.get("/users/me")).status_code == 200

        def test_threads():
            gc.collect()
            assert [t.name for t in threading.enumerate() if t is not threading.main_thread()] == []
        """
    )

    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=6)


def test_a_test_that_runs_its_own_loop_can_use_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        import asyncio

        async def whoami(propusk):
            client = await propusk.client(await propusk.user())
            return (await client.get("/users/me")).status_code

        def test_it(propusk):
            assert [asyncio.run(whoami(propusk)) for _ in range(3)] == [200, 200, 200]
        """
    )

    pytester.runpytest_inprocess().assert_outcomes(passed=1)
