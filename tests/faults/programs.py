"""Programs of the system that the faults are played with, installed if that is possible."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def needed(program: str, package: str) -> str:
    """Where a program is; its Debian package is installed if it is nowhere and we are root."""
    os.environ["PATH"] += ":/usr/sbin"
    if shutil.which(program) is None and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", package], check=True, stdout=subprocess.DEVNULL)
    path = shutil.which(program)
    if path is None:
        raise SystemExit(f"{program} is needed: apt-get install {package}")
    return path


def faketime() -> str:
    """The library that gives a process another clock."""
    needed("faketime", "faketime")
    return str(next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")))


@contextmanager
def running(
    command: Sequence[str], log: Path, ready: Callable[[], bool], *, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, from when it is ready until the end; what it prints is in `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, user=user, cwd=log.parent)
    try:
        end = time.monotonic() + 20
        while not ready():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"{command[0]} is not ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait(10)
