"""Real processes: `Service` is a running `propusk serve`, `propusk` is any other command."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.process import forking

SECRET_KEY = "zq7canary-Kq2vV9x4LrT8mB1nW6yZ3cD5eF7gH0jP"
CHEAP = {"PROPUSK_PASSWORD__MEMORY_KIB": "8", "PROPUSK_PASSWORD__ITERATIONS": "1"}
NO_LIMITS = {
    f"PROPUSK_LIMITS__{name}": "1000000/1d"
    for name in ("LOGIN_PAIR", "LOGIN_ACCOUNT", "LOGIN_NETWORK", "REGISTER", "REFRESH", "MAIL_NETWORK", "MAIL_ADDRESS")
}
FEW_CONNECTIONS = {"PROPUSK_DATABASE_CONNECTIONS": "6"}  # PostgreSQL has 100 for all tests that run at once
PROGRAM = str(Path(sys.executable).with_name("propusk"))
PATIENCE = 120.0
"""Seconds for what must happen soon, on a machine that has much else to do: where all is well nobody waits for it."""


class ServiceFailed(AssertionError):
    """The service did not start, or did not stop; the text holds its log."""


def _ports() -> Iterator[int]:
    """A range for each worker of pytest-xdist and one for who runs without, over and over; none that the kernel gives
    away by itself, as it does from 32768 on.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = 20000 + 3000 * (int(worker[2:]) % 4 if worker.startswith("gw") else -1)
    # Another run of the tests is at another place of it.
    return itertools.islice(itertools.cycle(range(first, first + 3000)), os.getpid() * 100 % 3000, None)


_untried = _ports()


def free_port() -> int:
    """A port that nobody listens on now, nor until whoever asked does: it is named once in a long while, and no
    connection goes out from it.
    """
    return next(port for port in _untried if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process: ours without any setting of Propusk, cheap hashing, few connections, then `env`."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("PROPUSK_")}
    return {**inherited, **CHEAP, **FEW_CONNECTIONS, **(env or {})}


def propusk(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float = PATIENCE,
    umask: int = -1,
    program: str = PROGRAM,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end. Standard input is empty unless `stdin` says otherwise.

    The command of this checkout is forked from a process that has imported it, as starting it anew takes far longer.

    Args:
        env: settings, on top of cheap hashing.
        timeout: seconds.
        umask: of the process; by default ours.
        program: the command; by default that of this checkout.
    """
    whole, given = environment(env), stdin or ""
    if program == PROGRAM:
        return forking.run(folder, list(arguments), env=whole, stdin=given, timeout=timeout, umask=umask)
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=whole,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        umask=umask,
    )


class Service:
    """`propusk serve` in a process group of its own.

    Started by `start()` or by `with Service(…) as service:`, which also stops it. All of it may be called from a
    thread or, as none of it lasts long, from a coroutine. It may be started again after `stop()` or `kill_group()`,
    on the same port and database.

    Args:
        folder: where it runs; `propusk-data` and the log `serve.log` are made there.
        env: settings (`PROPUSK_DATABASE_URL`, …), on top of cheap hashing; add `NO_LIMITS` where many log in.
        workers: processes.
        port: by default a free one.
        arguments: more of the command line.
        umask: of the processes; by default ours.
        program: the command; by default that of this checkout.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        workers: int = 1,
        port: int | None = None,
        arguments: Sequence[str] = (),
        umask: int = -1,
        program: str = PROGRAM,
    ) -> None:
        self.folder = folder
        self.env = dict(env or {})
        self.workers = workers
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = folder / "serve.log"
        self._arguments = arguments
        self._umask = umask
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._migrated = not self.env.get("PROPUSK_DATABASE_URL", "sqlite").startswith(("postgres", "mysql", "mariadb"))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_group() if error is not None else self.stop()

    @property
    def pid(self) -> int:
        """The first process of the group; the group has the same number."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, *, timeout: float = PATIENCE) -> Self:
        """Migrate a server database the first time, start, and return once `/readyz` answers 200."""
        if not self._migrated:
            done = self.run("migrate")
            assert done.returncode == 0, done.stderr
            self._migrated = True
        command = [self._program, "serve", "--port", str(self.port), "--workers", str(self.workers), *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment(self.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=self._umask,
            )
        try:
            self._wait_ready(timeout)
        except BaseException:
            self.kill_group()
            raise
        return self

    def run(
        self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run another command in the same folder with the same settings."""
        return propusk(self.folder, *arguments, env=self.env, stdin=stdin, timeout=timeout, program=self._program)

    def logs(self) -> str:
        """What all its processes have printed so far, over restarts too."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def is_running(self) -> bool:
        """Whether the first process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, timeout: float = 60) -> int:
        """Ask it to end, as a service manager would (SIGTERM); returns its exit status."""
        assert self._process is not None, "not started"
        self._process.terminate()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_group()
            raise ServiceFailed(f"it did not stop within {timeout} s:\n{self.logs()}") from None
        self._kill_rest()
        return status

    def kill_group(self) -> None:
        """SIGKILL to every process of the group at once, as a power cut would."""
        assert self._process is not None, "not started"
        self._kill_rest()
        self._process.wait(PATIENCE)

    def _kill_rest(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _wait_ready(self, timeout: float) -> None:
        assert self._process is not None
        end = time.monotonic() + timeout
        with httpx.Client(timeout=10, trust_env=False) as client:
            while time.monotonic() < end:
                if self._process.poll() is not None:
                    raise ServiceFailed(f"it ended with status {self._process.returncode}:\n{self.logs()}")
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        raise ServiceFailed(f"it was not ready within {timeout} s:\n{self.logs()}")
