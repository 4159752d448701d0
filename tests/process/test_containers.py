"""Dockerfile, compose.yaml and the guide's part on them, without an engine: what they say is parsed, and done here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dotenv import dotenv_values

from propusk.production import unsafe_in_production
from propusk.settings import Settings, unknown_names
from tests.backends import Backend
from tests.process.service import PATIENCE, Service, free_port

pytestmark = [pytest.mark.delivery, pytest.mark.xdist_group("packages")]
ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SAMPLE = (ROOT / ".env.example").read_text()
GUIDE = (ROOT / "docs" / "guides" / "service.md").read_text()
PHRASE = "a rather long pass phrase"
STAND_IN = Path(__file__).with_name("docker_stand_in.py")
STRONG = {"PROPUSK_PASSWORD__MEMORY_KIB": "19456", "PROPUSK_PASSWORD__ITERATIONS": "2"}


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile in their order, each on one line."""
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.strip().partition(" ") for line in lines if line.strip())]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, from its FROM on."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions((ROOT / "Dockerfile").read_text()):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def only(stage: list[tuple[str, str]], wanted: str) -> str:
    (found,) = [rest for word, rest in stage if word == wanted]
    return found


@dataclass(frozen=True)
class Image:
    """What the Dockerfile makes, below a folder that stands for `/`."""

    root: Path

    def here(self, text: str) -> str:
        """A path or a command of the image, as it is here."""
        return re.sub(r"/(opt/propusk|data|etc/propusk)\b", lambda path: str(self.root) + path.group(), text)

    @property
    def env(self) -> dict[str, str]:
        """All that a process of the image finds in its environment."""
        given = dict(pair.split("=", 1) for pair in shlex.split(only(stages()[-1], "ENV")))
        return {name: self.here(value).replace("$PATH", os.environ["PATH"]) for name, value in given.items()}

    def command(self, command: list[str]) -> list[str]:
        """A command as the image has it, with what its PATH finds."""
        found = shutil.which(command[0], path=self.env["PATH"])
        assert found, command
        return [found, *(self.here(argument) for argument in command[1:])]

    def run(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        folder = self.root / "etc" / "propusk"
        return subprocess.run(
            self.command(command), cwd=folder, env=self.env | env, capture_output=True, text=True, check=False
        )

    def files(self) -> set[Path]:
        """Every file but those of the volume."""
        return {path for path in self.root.rglob("*") if (self.root / "data") not in path.parents}


def is_sent(path: str) -> bool:
    """Whether .dockerignore lets a file of the checkout into the build."""
    kept = (ROOT / ".dockerignore").read_text().split()
    return kept[0] == "*" and f"!{path}" in kept


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built as the first stage says, by its own commands, with nothing of the checkout but what the build is sent."""
    image = Image(tmp_path_factory.mktemp("image"))
    for folder in ("build", "opt", "etc/propusk"):
        (image.root / folder).mkdir(parents=True)
    (image.root / "data").mkdir(mode=0o700)
    first = stages()[0]
    assert only(first, "WORKDIR") == "/build"
    for word, rest in first:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                assert is_sent(source), source
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy2
                copy(ROOT / source, image.root / "build" / target)
        if word == "RUN":
            command = re.sub(r"^python ", f"{sys.executable} ", image.here(rest))
            command = re.sub(r"^pip ", f"{sys.executable} -m pip ", command)
            done = subprocess.run(
                ["sh", "-euc", command], cwd=image.root / "build", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (command, done.stdout, done.stderr)
    shutil.rmtree(image.root / "build")
    return image


def test_the_image_runs_as_its_file_says_and_writes_to_its_volume_alone(image: Image) -> None:
    last, port = stages()[-1], free_port()
    assert f"COPY --from=build {Path('/opt/propusk')} /opt/propusk" in [" ".join(pair) for pair in last]
    before = image.files()
    healthcheck = json.loads(only(last, "HEALTHCHECK").partition("CMD ")[2])
    check = [argument.replace("8000", str(port)) for argument in healthcheck]
    assert image.run(check).returncode != 0
    command = [*json.loads(only(last, "ENTRYPOINT")), *json.loads(only(last, "CMD")), "--port", str(port)]
    process = subprocess.Popen(
        image.command(command), cwd=image.root / "etc" / "propusk", env=image.env, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + PATIENCE
        while image.run(check).returncode != 0:
            assert process.poll() is None and time.monotonic() < end, "it was never well"
        person = {"email": "ada@example.com", "password": PHRASE}
        assert httpx.post(f"http://127.0.0.1:{port}/auth/register", json=person, timeout=PATIENCE).status_code == 201
    finally:
        process.terminate()
    assert process.wait(PATIENCE) in (0, -15)
    assert image.run(check).returncode != 0
    assert image.files() == before
    assert (image.root / "data" / "propusk.db").exists()


def test_the_image_runs_as_a_user_of_its_own_to_whom_its_volume_belongs() -> None:
    last = stages()[-1]
    made = only(last, "RUN")
    assert only(last, "USER") == "10001:10001"
    assert "useradd --uid 10001 --user-group" in made
    assert "install --directory --owner propusk --group propusk --mode 0700 /data" in made
    assert only(last, "VOLUME") == "/data"
    assert len({only(stage, "FROM").split()[0] for stage in stages()}) == 1, (
        "what is compiled for one runs on the other"
    )


def test_a_file_of_settings_that_nobody_filled_in_starts_nothing(image: Image, tmp_path: Path) -> None:
    unfilled = {name: value or "" for name, value in _filled(SAMPLE, tmp_path).items()}
    assert unknown_names(unfilled) == []
    refused = image.run(["propusk", "serve"], **unfilled)
    assert refused.returncode == 1
    faults = re.findall(r"(\w+): ", refused.stderr.removeprefix("Error: "))
    assert faults[:3] == ["public_url", "mail_url", "mail_from"], refused.stderr
    assert "DATABASE_PASSWORD:?" in str(COMPOSE["services"]["postgresql"]), "compose refuses an empty one"
    assert "DATABASE_PASSWORD:?" in str(COMPOSE["services"]["mariadb"])


def test_the_file_of_settings_filled_in_is_safe_in_production_and_names_the_services_of_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (filled_in(), for_mariadb(filled_in())):
        values = _filled(text, tmp_path)
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        settings = Settings.from_env()
        assert unsafe_in_production(settings) == []
        beside = {
            name: service for name, service in COMPOSE["services"].items() if values["COMPOSE_PROFILES"] in _of(service)
        }
        assert settings.database_url is not None
        url = httpx.URL(settings.database_url.get_secret_value())
        assert {url.host, *([settings.redis_server.hosts[0][0]] if settings.redis_server else [])} == set(beside)
        database = str(beside[url.host]["environment"])
        assert f"_USER': '{url.username}'" in database
        assert f"'{url.path.strip('/')}'" in database
        assert url.password == values["DATABASE_PASSWORD"]
        gateway = COMPOSE["networks"]["default"]["ipam"]["config"][0]["gateway"]
        assert [str(network.network_address) for network in settings.trusted_proxies] == [gateway]


def test_compose_gives_away_nothing_that_it_need_not() -> None:
    services = COMPOSE["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8000:8000"]
    for name in ("propusk", "migrate"):
        ours = services[name]
        assert ours["read_only"] and ours["cap_drop"] == ["ALL"]
        assert ours["security_opt"] == ["no-new-privileges:true"]
        assert ours["volumes"] == ["data:/data"]
        assert ours["env_file"] == ".env"
        # Only .env itself is sure to have what it names by ${…} put in.
        combined = re.findall(r"^(\w+)=.*\$", SAMPLE, re.MULTILINE)
        assert combined == list(ours["environment"]) == ["PROPUSK_DATABASE_URL"]
    needed = services["migrate"]["depends_on"]
    assert set(needed) == set(services) - {"propusk", "migrate"}
    assert all(need == {"condition": "service_healthy", "required": False} for need in needed.values())
    assert all("healthcheck" in services[name] and _of(services[name]) for name in needed)
    assert services["propusk"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["command"] == ["migrate"]
    volumes = {use.partition(":")[0] for service in services.values() for use in service.get("volumes", [])}
    assert volumes == set(COMPOSE["volumes"])
    secrets = re.findall(r"(?i)password: (.*)", (ROOT / "compose.yaml").read_text())
    assert secrets
    assert set(secrets) <= {"${DATABASE_PASSWORD:?fill in .env}", '"1"'}, '"1": the server draws one for root'


def test_docker_compose_itself_reads_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed on this machine")
    shutil.copy(ROOT / "compose.yaml", tmp_path)
    (tmp_path / ".env").write_text(filled_in())
    subprocess.run([docker, "compose", "config", "--quiet"], cwd=tmp_path, check=True)


@pytest.fixture
def host(image: Image, empty_database: Backend, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who follows the guide: `docker` does here what it would do in a container."""
    shutil.rmtree(image.root / "data")
    (image.root / "data").mkdir(mode=0o700)
    text = filled_in() if empty_database.name == "postgresql" else for_mariadb(filled_in())
    settings = {name: str(value) for name, value in _filled(text, tmp_path).items()}
    settings |= {
        "PROPUSK_DATABASE_URL": empty_database.url,
        "PROPUSK_DATABASE_CONNECTIONS": "6",
        "PROPUSK_SIGNING_KEY_FILE": image.here(settings["PROPUSK_SIGNING_KEY_FILE"]),
    }
    settings.pop("PROPUSK_REDIS_URL", None)
    docker = {"root": str(image.root), "env": image.env | settings, "database": empty_database.url}
    (tmp_path / "docker.json").write_text(json.dumps(docker))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    (tmp_path / "bin" / "docker").chmod(0o755)
    return image.env | settings


def test_the_guide_in_containers(host: dict[str, str], image: Image, empty_database: Backend, tmp_path: Path) -> None:
    (fill, start, backup, update) = re.findall(
        r"^```sh\n(.*?)^```$", GUIDE.partition("\n## In containers\n")[2], re.MULTILINE | re.DOTALL
    )
    (tmp_path / ".env.example").write_text(SAMPLE)

    def follow(block: str) -> str:
        env = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout

    follow(fill)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    told = follow(start.replace("propusk doctor", "propusk doctor || true"))
    failed = [line.split()[1] for line in told.splitlines() if line.startswith("fail")]
    assert failed == ["mail"], f"nobody takes mail here, and that is all:\n{told}"
    running = {name: value for name, value in host.items() if name.startswith("PROPUSK_")}
    with Service(tmp_path, env=STRONG | running, program=str(image.root / "opt/propusk/bin/propusk")) as service:
        login = {"login": "root@example.com", "password": PHRASE}
        assert httpx.post(f"{service.url}/auth/login", json=login, timeout=PATIENCE).status_code == 200
        if empty_database.name == "postgresql":
            follow(backup)
            assert (tmp_path / "propusk.dump").stat().st_size > 10_000
            assert "PRIVATE KEY" in (tmp_path / "signing_keys.pem").read_text()
        follow(update)


def _of(service: dict[str, Any]) -> list[str]:
    profiles: list[str] = service.get("profiles", [])
    return profiles


def _filled(text: str, folder: Path) -> dict[str, str | None]:
    (folder / "filled.env").write_text(text)
    return dict(dotenv_values(folder / "filled.env"))


def filled_in() -> str:
    """The sample with everything that it leaves empty."""
    values = {
        "DATABASE_PASSWORD": "zq7canary0123456789",
        "PROPUSK_PUBLIC_URL": "https://login.example.com",
        "PROPUSK_SECRET_KEY": "zq7canary-Kq2vV9x4LrT8mB1nW6yZ3cD5eF7gH0jP",
        "PROPUSK_MAIL_URL": "smtp://propusk:zq7canary@127.0.0.1:1",
        "PROPUSK_MAIL_FROM": "Example <no-reply@example.com>",
    }
    empty = set(re.findall(r"^(\w+)=$", SAMPLE, re.MULTILINE))
    assert empty == set(values)
    return re.sub(r"^(\w+)=$", lambda line: f"{line[1]}={values[line[1]]}", SAMPLE, flags=re.MULTILINE)


def for_mariadb(text: str) -> str:
    """The same, as its comments say for MariaDB with Redis."""
    text = re.sub(r"^PROPUSK_DATABASE_URL=.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^#(PROPUSK_\w+=)", r"\1", text, flags=re.MULTILINE)
    return text.replace("COMPOSE_PROFILES=postgresql", "COMPOSE_PROFILES=mariadb")
