"""Servers under measurement: real processes, one worker on one core; the load comes from the other core."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SERVER_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    pid: int

    def resident_mib(self) -> float:
        """Resident memory of the process, in MiB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        kib = next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))
        return int(kib) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_core(core: int) -> list[str]:
    """The beginning of a command that is to stay on one core, with its children."""
    return ["taskset", "-c", str(core)]


@contextmanager
def running(name: str, command: list[str], port: int, env: Mapping[str, str], ready: str) -> Iterator[Server]:
    """A server pinned to its core, from its first answer to its end."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*on_core(SERVER_CORE), *command],
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, url + ready)
            yield Server(name, url, process.pid)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-3000:])
            raise
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise TimeoutError(url)


@contextmanager
def databases_on(core: int) -> Iterator[None]:
    """Keep the database servers on the load's core: what they take from the service's would be measured as its own."""
    tasks = [
        int(task.name)
        for comm in Path("/proc").glob("[0-9]*/comm")
        if comm.read_text().strip() in ("postgres", "mariadbd")
        for task in comm.with_name("task").iterdir()
    ]
    before = {task: os.sched_getaffinity(task) for task in tasks}
    try:
        for task in tasks:
            os.sched_setaffinity(task, {core})
        yield
    finally:
        for task, cores in before.items():
            if Path(f"/proc/{task}").exists():
                os.sched_setaffinity(task, cores)


@contextmanager
def floor() -> Iterator[Server]:
    """The empty FastAPI endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port)]
    with running("floor", command, port, {}, "/users/me") as server:
        yield server


@contextmanager
def propusk(name: str, database_url: str | None, folder: Path) -> Iterator[Server]:
    """The service as an operator starts it, with limits that the load does not meet."""
    port = free_port()
    env = {
        "PROPUSK_DATA_DIR": str(folder / name),
        "PROPUSK_PUBLIC_URL": f"http://127.0.0.1:{port}",
        **{f"PROPUSK_LIMITS__{limit}": "1000000000/1d" for limit in LIMITS},
    }
    if database_url is not None:
        env["PROPUSK_DATABASE_URL"] = database_url
        subprocess.run([COMMAND, "migrate"], env={**os.environ, **env}, check=True, stdout=sys.stderr)
    command = [COMMAND, "serve", "--port", str(port)]
    with running(name, command, port, env, "/readyz") as server:
        yield server


COMMAND = str(Path(sys.executable).with_name("propusk"))
LIMITS = ("LOGIN_PAIR", "LOGIN_ACCOUNT", "LOGIN_NETWORK", "REGISTER", "REFRESH")
