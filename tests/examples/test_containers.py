"""Dockerfiles and compose.yaml of the examples, without an engine: what they say is parsed, and run here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dotenv import dotenv_values
from sqlalchemy import make_url

from propusk.settings import unknown_names
from tests.backends import drop_backend, make_backend
from tests.examples.kit import ROOT, readme
from tests.process.service import environment, free_port

DATABASES = ("postgresql", "mariadb")
OWN = {"session_service": "postgresql", "user_management": "mariadb"}
"""The examples in containers, and the database that each brings along."""
BIN = ROOT / ".venv" / "bin"

every = pytest.mark.parametrize("name", OWN)


def stages(name: str) -> list[list[str]]:
    """The instructions of each stage of an example's Dockerfile, or of the service's (""), one a line."""
    text = (ROOT / (f"examples/{name}" if name else "") / "Dockerfile").read_text().replace("\\\n", "")
    parts = re.split(r"(?m)^(?=FROM )", re.sub(r"(?m)^#.*\n|^\n", "", text))[1:]
    return [part.splitlines() for part in parts]


def said(name: str, word: str) -> list[str]:
    """What the last stage says by one kind of instruction."""
    return [line.removeprefix(word).strip() for line in stages(name)[-1] if line.startswith(f"{word} ")]


def compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / name / "compose.yaml").read_text())
    return found


def filled_in(name: str, folder: Path) -> dict[str, str]:
    """The sample of settings with a password."""
    text = (ROOT / "examples" / name / ".env.example").read_text()
    assert re.findall(r"(?m)^(\w+)=$", text) == ["DATABASE_PASSWORD"], "there is one thing to fill in"
    (folder / "filled.env").write_text(text.replace("DATABASE_PASSWORD=\n", "DATABASE_PASSWORD=zq7canary0123\n"))
    return {key: str(value) for key, value in dotenv_values(folder / "filled.env").items()}


@every
def test_what_an_example_stands_on_is_built_as_the_service_is(name: str) -> None:
    service, example = stages(""), stages(name)
    assert example[0] == service[0]
    common = service[1].index("COPY --from=build /opt/propusk /opt/propusk") + 1
    assert example[1][:common] == service[1][:common]
    for word in ("USER", "VOLUME", "EXPOSE"):
        assert said(name, word) == said("", word)


@every
def test_the_build_is_sent_what_it_copies_and_no_secret(name: str) -> None:
    kept = (ROOT / "examples" / name / "Dockerfile.dockerignore").read_text().split()
    copied = [line.split()[1:-1] for stage in stages(name) for line in stage if line.startswith("COPY ")]
    sources = {source for found in copied for source in found if not source.startswith(("--", "/"))}
    assert sources == {f"{line[1:]}" for line in kept if line.startswith("!")}
    assert kept[0] == "*"
    assert kept[-2:] == [f"examples/{name}/.env", "**/__pycache__"]


@pytest.fixture
def started(database: dict[str, str], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The example of this database, started as its image does, with nothing of `examples` but what the image has."""
    name = next(name for name, kind in OWN.items() if kind in request.node.callspec.id)
    for line in said(name, "COPY")[1:]:
        source, target = line.split()
        place = tmp_path / target.lstrip("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True)
            shutil.copy(ROOT / source, place)
    (tmp_path / "data").mkdir(mode=0o700)
    (given,) = said(name, "ENV")
    env = dict(pair.split("=", 1) for pair in shlex.split(given))
    env["PATH"] = env["PATH"].replace("/opt/propusk/bin", str(BIN)).replace("$PATH", os.environ["PATH"])
    env["PROPUSK_DATA_DIR"] = str(tmp_path / "data")
    redis = make_backend("redis", tmp_path, "") if "PROPUSK_REDIS_URL" in filled_in(name, tmp_path) else None
    settings = filled_in(name, tmp_path) | database | ({"PROPUSK_REDIS_URL": str(redis.redis_url)} if redis else {})
    command = [*json.loads(said(name, "CMD")[0]), "--port", str(port := free_port())]
    with (tmp_path / "data" / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path / said(name, "WORKDIR")[0][1:], env=environment(settings | env), stderr=log
        )
    (check,) = [line.partition("CMD ")[2].replace("8000", str(port)) for line in said(name, "HEALTHCHECK")]
    try:
        for _ in range(600):
            if subprocess.run(json.loads(check), env=env, capture_output=True, check=False).returncode == 0:
                break
            assert process.poll() is None, (tmp_path / "data" / "log").read_text()
            time.sleep(0.1)
        else:
            pytest.fail((tmp_path / "data" / "log").read_text())
        yield f"http://127.0.0.1:{port}", tmp_path
    finally:
        process.terminate()
        process.wait(60)
        if redis is not None:
            drop_backend(redis)


def test_the_image_runs_the_example_which_writes_to_its_volume_alone(started: tuple[str, Path]) -> None:
    url, folder = started
    before = set((folder / "srv").rglob("*"))
    person = {"username": "ada", "email": "ada@example.com", "password": "zq7canary Old horse"}
    is_by_cookie = (folder / "srv/examples/session_service").exists()
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60) as client:
        made = client.post("/auth/register" if is_by_cookie else "/users/register", json=person)
        assert made.status_code in (200, 201), made.text
        if is_by_cookie:
            assert client.post("/auth/login", json=person).status_code == 200
            assert client.get("/auth/sessions").json()[0]["ip"] == "127.0.0.1", "whom no proxy of ours named"
    assert set((folder / "srv").rglob("*")) == before
    assert {path.name for path in (folder / "data").iterdir()} > {"signing_keys.pem"}


@every
def test_the_readme_fills_the_settings_in(name: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / name / ".env.example", tmp_path)
    lines = readme(name).partition("\nIn containers")[2].partition("```\n")[2].splitlines()
    assert lines[2] == "docker compose up --build"
    subprocess.run(["sh", "-euc", "\n".join(lines[:2])], cwd=tmp_path, check=True)
    filled = dotenv_values(tmp_path / ".env")
    assert len(str(filled["DATABASE_PASSWORD"])) == 48
    assert f":{filled['DATABASE_PASSWORD']}@" in str(filled["PROPUSK_DATABASE_URL"])
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


@every
def test_the_sample_of_settings_names_the_services_beside_it(name: str, tmp_path: Path) -> None:
    settings, services = filled_in(name, tmp_path), compose(name)["services"]
    assert unknown_names(settings) == []
    database = make_url(settings["PROPUSK_DATABASE_URL"])
    assert (database.host, database.password) == (OWN[name], "zq7canary0123")
    inside = services[OWN[name]]["environment"]
    assert {database.username, database.database} == {
        inside[key] for key in inside if key.endswith(("_USER", "_DB", "_DATABASE"))
    }
    others = {"app", OWN[name], *(["redis"] if "PROPUSK_REDIS_URL" in settings else [])}
    assert set(services) == others
    assert services["app"]["depends_on"] == {other: {"condition": "service_healthy"} for other in others - {"app"}}


@every
def test_compose_gives_away_nothing_that_it_need_not(name: str) -> None:
    told = compose(name)
    app = told["services"]["app"]
    assert (app["read_only"], app["cap_drop"], app["volumes"]) == (True, ["ALL"], ["data:/data"])
    assert app["security_opt"] == ["no-new-privileges:true"]
    assert app["build"] == {"context": "../..", "dockerfile": f"examples/{name}/Dockerfile"}
    ports = [port for service in told["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000"]
    volumes = {use.partition(":")[0] for service in told["services"].values() for use in service.get("volumes", [])}
    assert volumes == set(told["volumes"])
    root: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for other in set(told["services"]) - {"app"}:
        theirs = {key: value for key, value in root[other].items() if key != "profiles"}
        assert told["services"][other] == theirs, "as beside the service"


@every
def test_docker_compose_itself_reads_the_file(name: str, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed on this machine")
    filled_in(name, tmp_path)
    (tmp_path / "filled.env").rename(tmp_path / ".env")
    shutil.copy(ROOT / "examples" / name / "compose.yaml", tmp_path)
    subprocess.run([docker, "compose", "config", "--quiet"], cwd=tmp_path, check=True)
