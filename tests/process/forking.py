"""Commands without their start, which is most of what they cost: a process has imported all of it, and forks for each.

What runs is what `propusk` runs, in a process, folder and environment of its own. `python -m tests.process.forking`
is that first process; it ends when whoever started it does.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from propusk.__main__ import main
from propusk.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
_LATER = ("asyncpg", "asyncmy", "uvloop", "propusk.db.migrate", "propusk.alembic.alone")


def run(
    folder: Path, arguments: list[str], *, env: Mapping[str, str], stdin: str, timeout: float, umask: int
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with captured output: a command of Propusk, to its end.

    Raises:
        subprocess.TimeoutExpired: it was killed.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        about = {"folder": str(folder), "arguments": arguments, "env": dict(env), "umask": umask}
        with socket.socket(socket.AF_UNIX) as peer, peer.makefile("r") as told:
            peer.connect(_parent())
            socket.send_fds(peer, [b"."], [given.fileno(), out.fileno(), err.fileno()])
            peer.sendall(json.dumps(about).encode() + b"\n")
            pid = int(told.readline())
            peer.settimeout(timeout)
            try:
                status = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["propusk", *arguments], timeout) from None
        return subprocess.CompletedProcess(["propusk", *arguments], status, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _parent() -> str:
    """Start the process that forks; returns where it listens."""
    folder = tempfile.TemporaryDirectory(prefix="forking")
    address = f"{folder.name}/socket"
    # Its end is that of its standard input, which nobody but us holds open.
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.process.forking", address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None

    def end() -> None:
        process.kill()
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    assert process.stdout.readline() == b"ready\n"
    return address


def _listen(address: str) -> None:
    """Fork for everybody who connects, until standard input ends. Returns in the process of a command alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those between us and a command
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            readable, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in readable:
                sys.exit()
            peer, _ = listener.accept()
            with peer:
                if os.fork() == 0:
                    listener.close()
                    return _begin(peer)


def _begin(peer: socket.socket) -> None:
    """Become the command that is asked for; who tells how it ended is one process before it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, _, _ = socket.recv_fds(peer, 1, 3)
    about = json.loads(peer.makefile().readline())
    pid = os.fork()
    if pid != 0:
        with suppress(BrokenPipeError):  # nobody waits any more
            peer.sendall(f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            peer.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(about["folder"])
    os.environ.clear()
    os.environ.update(about["env"])
    if about["umask"] != -1:
        os.umask(about["umask"])
    sys.argv[1:] = about["arguments"]


if __name__ == "__main__":
    for module in (*(command.partition(":")[0] for command in COMMANDS.values()), *_LATER):
        importlib.import_module(module)
    gc.freeze()  # or the first collection of each command would copy all that is shared
    _listen(sys.argv[1])
    main()
