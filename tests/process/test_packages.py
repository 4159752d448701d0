"""The packages as their users have them: built, and installed into environments of their own, outside the checkout."""

import json
import re
import subprocess
import sys
import tarfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from tests.process.service import PATIENCE, Service, environment

pytestmark = [pytest.mark.delivery, pytest.mark.xdist_group("packages")]
ROOT = Path(__file__).parents[2]
UV = str(Path(sys.executable).with_name("uv"))
PASSWORD = "zq7canary one two three"
SERVICE_ALONE = {
    "asyncmy",
    "asyncpg",
    "click",
    "fastapi-swagger",
    "httptools",
    "redis",
    "structlog",
    "uvicorn",
    "uvloop",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == status, (command, done.stdout, done.stderr)
    return done


@dataclass(frozen=True)
class Packages:
    """The sdist, and the wheel that was built from it."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it."""

    folder: Path

    @property
    def propusk(self) -> str:
        return str(self.folder / "bin" / "propusk")

    def python(self, program: str, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a program in an empty folder."""
        (away := self.folder / "away").mkdir(exist_ok=True)
        return run(self.folder / "bin" / "python", "-W", "error", "-c", program, *arguments, cwd=away, status=status)

    def packages(self) -> dict[str, str]:
        """What is installed, with versions."""
        listed = run(UV, "pip", "list", "--python", self.folder, "--format", "json", cwd=self.folder).stdout
        return {package["name"]: package["version"] for package in json.loads(listed)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Packages(sdist, wheel)


def install(built: Packages, folder: Path, extra: str) -> Installed:
    """An environment with what `pip install propusk[extra]` brings, in the versions of the lock."""
    run(UV, "venv", "--python", sys.executable, folder, cwd=folder.parent)
    lock = ROOT / "requirements.lock"
    wanted = f"propusk[{extra}] @ {built.wheel.as_uri()}"
    run(UV, "pip", "install", "--python", folder, "--constraint", lock, wanted, cwd=folder)
    return Installed(folder)


@pytest.fixture(scope="module")
def verifier(built: Packages, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`pip install propusk`."""
    return install(built, tmp_path_factory.mktemp("verifier") / "venv", "")


@pytest.fixture(scope="module")
def library(built: Packages, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`pip install propusk[library]`."""
    return install(built, tmp_path_factory.mktemp("library") / "venv", "library")


@pytest.fixture(scope="module")
def whole(built: Packages, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """`pip install propusk[service]`."""
    return install(built, tmp_path_factory.mktemp("service") / "venv", "service")


@pytest.fixture(scope="module")
def service(whole: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service from the wheel, on SQLite, in a folder with nothing else in it."""
    with Service(tmp_path_factory.mktemp("running"), program=whole.propusk) as running:
        yield running


def test_the_packages_hold_all_of_the_source_and_nothing_else(built: Packages) -> None:
    source = ROOT / "src"
    ours = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name.rpartition(".")[2] for name in ours} >= {"py", "html", "txt", "css", "typed"}
    with ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    assert {name for name in names if ".dist-info/" not in name} == ours
    with tarfile.open(built.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert names == {f"src/{name}" for name in ours} | {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def test_the_service_runs_from_the_wheel_alone(whole: Installed, service: Service) -> None:
    assert str(whole.folder) in whole.python("import propusk; print(propusk.__file__)").stdout
    assert "Propusk: authentication" in service.run("--help").stdout
    assert json.loads(service.run("migrate", "status", "--json").stdout)["current"]
    with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
        person = {"email": "ada@example.com", "password": PASSWORD}
        assert client.post("/auth/register", json=person).status_code == 201
        login = client.post("/auth/login", json={"login": person["email"], "password": PASSWORD})
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        assert client.get("/users/me", headers=bearer).json()["email"] == "ada@example.com"
        page = client.get("/verify-email?token=none", headers={"Accept-Language": "ru"})
        assert (page.status_code, 'lang="ru"' in page.text) == (400, True), "no such token"
        assert client.get("/docs/swagger-ui.css").status_code == 200
        end = time.monotonic() + PATIENCE
        while "ada@example.com" not in client.get("/mailbox").text:
            assert time.monotonic() < end, "the mail of the registration did not come"
            time.sleep(0.1)


def test_without_an_extra_there_is_the_verifier_and_nothing_that_it_does_not_need(
    verifier: Installed, service: Service
) -> None:
    assert set(verifier.packages()) == {"propusk", "cffi", "cryptography", "h11", "joserfc", "pycparser"}
    person = {"email": "bob@example.com", "password": PASSWORD}
    with httpx.Client(base_url=service.url, timeout=PATIENCE) as client:
        made = client.post("/auth/register", json=person).json()
        login = client.post("/auth/login", json={"login": person["email"], "password": PASSWORD})
    check = """
import asyncio, sys
from propusk.verify import TokenVerifier
issuer, token = sys.argv[1:]
print(asyncio.run(TokenVerifier(issuer=issuer, audience=issuer).verify(token)).subject)
"""
    assert verifier.python(check, service.url, login.json()["access_token"]).stdout.strip() == made["id"]


def test_the_library_works_in_an_app_without_what_the_service_alone_needs(library: Installed) -> None:
    assert SERVICE_ALONE & set(library.packages()) == set()
    app = """
import asyncio
from fastapi import FastAPI
from propusk import CurrentUser, Settings, create_auth
from propusk.domain import login_with_password, register_with_password

auth = create_auth(Settings())
app = FastAPI()
auth.install(app)

@app.get("/mine")
async def mine(user: CurrentUser) -> str:
    return user.email

async def main():
    await auth.migrate()
    async with auth.transaction() as ctx:
        await register_with_password(ctx, email="ada@example.com", password="zq7canary one two three")
    async with auth.transaction() as ctx:
        pair = await login_with_password(ctx, login="ada@example.com", password="zq7canary one two three")
    await auth.close()
    return {"/mine", "/auth/login"} <= set(app.openapi()["paths"]) and len(pair.access_token) > 100

print(asyncio.run(main()))
"""
    assert library.python(app).stdout == "True\n"


def test_nothing_of_the_library_needs_what_the_service_alone_has(library: Installed) -> None:
    program = """
import importlib, pkgutil, propusk
for module in pkgutil.walk_packages(propusk.__path__, "propusk."):
    if not module.name.startswith(("propusk.cli.", "propusk.db.migrations.", "propusk.__main__")):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as missing:
            print(module.name, missing.name)
"""
    missing = dict(line.split() for line in library.python(program).stdout.splitlines())
    assert missing == {
        "propusk.logs": "structlog",
        "propusk.server": "structlog",
        "propusk.store.fallback": "redis",
        "propusk.store.redis": "redis",
        "propusk.store.redis_client": "redis",
        "propusk.testing.plugin": "pytest",
        "propusk.web.edge": "structlog",
    }


def test_the_library_without_its_extra_says_what_to_install(verifier: Installed) -> None:
    for name in ("create_auth", "Settings", "CurrentUser"):
        refused = verifier.python(f"from propusk import {name}", status=1).stderr.rstrip().splitlines()[-1]
        assert re.fullmatch(r"ModuleNotFoundError: \w+ is not installed: pip install 'propusk\[library\]'", refused)


def test_the_service_as_an_app_without_its_extra_says_what_to_install(library: Installed) -> None:
    refused = library.python("from propusk.server import create_app", status=1).stderr.rstrip().splitlines()[-1]
    assert refused == "ModuleNotFoundError: structlog is not installed: pip install 'propusk[service]'"


def test_a_driver_that_is_not_installed_is_named_with_what_brings_it(library: Installed) -> None:
    program = """
from propusk import Settings, SettingsError, create_auth
for setting in ({"database_url": "postgresql://a@b/c"}, {"database_url": "mysql://a@b/c"}, {"redis_url": "redis://b"}):
    try:
        create_auth(Settings(**setting))
    except SettingsError as refused:
        print(refused)
"""
    assert library.python(program).stdout.splitlines() == [
        "database_url: asyncpg is not installed: pip install 'propusk[postgresql]'",
        "database_url: asyncmy is not installed: pip install 'propusk[mariadb]'",
        "redis_url: redis is not installed: pip install 'propusk[redis]'",
    ]


def test_a_command_without_the_extra_of_the_service_says_what_to_install(
    verifier: Installed, library: Installed, tmp_path: Path
) -> None:
    for installed in (verifier, library):
        for command in ([installed.propusk, "serve"], [installed.folder / "bin" / "python", "-m", "propusk", "--help"]):
            refused = run(*command, cwd=tmp_path, status=1).stderr
            assert refused == "Error: click is not installed: pip install 'propusk[service]'\n"


def test_the_pytest_plugin_is_no_burden_where_only_the_verifier_is_installed(built: Packages, tmp_path: Path) -> None:
    installed = install(built, tmp_path / "venv", "")
    lock = ROOT / "requirements-dev.lock"
    run(UV, "pip", "install", "--python", installed.folder, "--constraint", lock, "pytest", cwd=tmp_path)
    (tmp_path / "test_it.py").write_text("def test_it(): assert 'propusk.testing.plugin' in __import__('sys').modules")
    run(installed.folder / "bin" / "python", "-m", "pytest", "-q", "test_it.py", cwd=tmp_path)


def test_the_extras_bring_what_the_lock_holds(verifier: Installed, library: Installed, whole: Installed) -> None:
    lock = re.findall(r"^([a-z0-9.-]+)==(\S+)( ;)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = {name: version for name, version, _ in lock}
    for installed in (verifier, library, whole):
        packages = installed.packages()
        del packages["propusk"]
        assert {name: version for name, version in packages.items() if locked.get(name) != version} == {}
    everywhere = {name for name, _, marker in lock if not marker}
    assert everywhere - set(whole.packages()) == {"flit-core"}, "that one builds, and does not run"


def test_every_dependency_and_every_extra_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    extras = PROJECT["optional-dependencies"]
    for requirement in chain(PROJECT["dependencies"], *extras.values()):
        name = re.split(r"[\[<>=; ]", requirement)[0]
        assert name == PROJECT["name"] or f"\n| {name} " in page, name
    for extra in extras:
        assert f"`propusk[{extra}]`" in page, extra
