"""Schemathesis, every phase and every check, finds nothing that schemathesis.toml does not list."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kit import PASSWORD
from tests.process.service import NO_LIMITS, PATIENCE, Service

pytestmark = [pytest.mark.xdist_group("schemathesis"), pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
CLIENT_SECRET = "zq7canary-introspection"
METRICS_TOKEN = "zq7canary-metrics"
# The same requests in every run; SCHEMATHESIS_SEED and SCHEMATHESIS_EXAMPLES look further.
SEED = os.environ.get("SCHEMATHESIS_SEED", "20261121")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "8")
# A new session whenever one has been ended by the very calls that are tried.
SUPERUSER = f"""
[auth.dynamic.openapi.bearer]
path = "/auth/login"
payload = {{ login = "root@example.com", password = "{PASSWORD}" }}
extract_selector = "/access_token"

[auth.openapi.client]
username = "schemathesis"
password = "{CLIENT_SECRET}"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service on SQLite, with a superuser and a client that may introspect."""
    digest = hashlib.sha256(CLIENT_SECRET.encode()).hexdigest()
    env = {
        **NO_LIMITS,
        "PROPUSK_INTROSPECTION_CLIENTS": f"schemathesis:{digest}",
        "PROPUSK_METRICS": "true",
        "PROPUSK_METRICS_TOKEN": METRICS_TOKEN,
    }
    with Service(tmp_path_factory.mktemp("schemathesis"), env=env) as running:
        made = running.run("users", "create", "--email", "root@example.com", "--superuser", stdin=PASSWORD + "\n")
        assert made.returncode == 0, made.stderr
        yield running


@pytest.mark.parametrize("who", ["nobody", "superuser"])
def test_schemathesis_finds_nothing_as(who: str, service: Service, tmp_path: Path) -> None:
    common = (ROOT / "schemathesis.toml").read_text()
    config = tmp_path / "schemathesis.toml"
    config.write_text(common + (SUPERUSER if who == "superuser" else ""))

    command = [PROGRAM, "--config-file", str(config), "run", f"{service.url}/openapi.json", "--no-color"]
    options = ["--max-examples", EXAMPLES, "--seed", SEED, "--generation-database", "none", "--continue-on-failure"]
    run = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    paths = httpx.get(f"{service.url}/openapi.json", timeout=PATIENCE).json()["paths"]
    assert f"Tested: {sum(map(len, paths.values()))}\n" in run.stdout, run.stdout
    assert "unhandled error" not in service.logs()
