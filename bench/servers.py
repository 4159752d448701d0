"""Servers under measurement: real processes on a core of their own; databases and load are on the other."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A running server, and how many seconds it took from its start to its first answer."""

    name: str
    port: int
    pid: int
    started_after: float

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def resident_mib(self) -> float:
        """Resident memory of the process, in MiB."""
        return self._status("VmRSS")

    def peak_mib(self) -> float:
        """The most it ever held, in MiB."""
        return self._status("VmHWM")

    def freeze(self) -> None:
        """Stop it where it is, so that what it does when idle does not disturb whose turn it is."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def thread_ms(self) -> dict[int, float]:
        """Milliseconds of CPU that each of its threads has had; the event loop's is the process's own."""
        spent = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError):  # it ended just now
                spent[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e6
        return spent

    def _status(self, name: str) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        kib = next(line.split()[1] for line in text.splitlines() if line.startswith(name))
        return int(kib) / 1024


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def on_core(*cores: int) -> list[str]:
    """The beginning of a command that is to stay on these cores, with its children."""
    return ["taskset", "-c", ",".join(map(str, cores))]


@contextmanager
def running(
    name: str, command: list[str], port: int, env: Mapping[str, str], path: str, cores: tuple[int, ...] = (SERVER_CORE,)
) -> Iterator[Server]:
    """A server on its core, from its first answer to its end."""
    with tempfile.TemporaryFile() as log:
        begun = time.monotonic()
        process = subprocess.Popen(
            [*on_core(*cores), *command], env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            try:
                _wait(process, port, path)
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace")[-3000:])
                raise
            yield Server(name, port, process.pid, time.monotonic() - begun)
        finally:
            _end(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            if connection.getresponse().status < 500:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
        finally:
            connection.close()
    raise TimeoutError(f"no answer on port {port}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGCONT)
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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
def redis_on(core: int) -> Iterator[str | None]:
    """The URL of a Redis of our own that keeps nothing on the disk; None where it is not installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        yield None
        return
    port = free_port()
    command = [*on_core(core), program, "--save", "", "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
