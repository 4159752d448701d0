"""What the tests of the examples share: an example started as its README says, and the README followed."""

import asyncio
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from propusk import Auth
from propusk.mail.mailbox import Mailbox
from tests.process.service import NO_LIMITS, environment, free_port

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_START = re.compile(r"^\.venv/bin/uvicorn .*$", re.MULTILINE)


def readme(name: str) -> str:
    """The README of an example."""
    return (ROOT / "examples" / name / "README.md").read_text()


@contextmanager
def running(name: str, folder: Path, settings: Mapping[str, str], *, command: str | None = None) -> Iterator[str]:
    """An example in a process of its own; gives its address.

    Args:
        folder: stands for the root of the checkout, and has nothing in it but the examples and `.venv`.
        command: by default the first that the README starts it with.
    """
    for shared in ("examples", ".venv"):
        (folder / shared).symlink_to(ROOT / shared)
    port = free_port()
    line = command or _START.findall(readme(name))[0]
    with (folder / "uvicorn.log").open("ab") as log:
        process = subprocess.Popen(
            [*shlex.split(line), "--port", str(port)],
            cwd=folder,
            env=environment({**NO_LIMITS, **settings}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(f"http://127.0.0.1:{port}", process, folder / "uvicorn.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it answers anything."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(f"{url}/openapi.json", timeout=20, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"it did not start:\n{log.read_text()}")


async def mailed_link(auth: Auth, page: str, to: str) -> str:
    """The link to a page in a mail to this address, as soon as it is there."""
    mailbox = auth.mailer
    assert isinstance(mailbox, Mailbox)
    async with asyncio.timeout(60):
        while True:
            words = [word for mail in await mailbox.newest() if mail.to == to for word in mail.text.split()]
            if found := [word for word in words if f"/{page}?token=" in word]:
                return found[0]
            await asyncio.sleep(0.05)


def follow(name: str, url: str, folder: Path) -> None:
    """Run the commands of the README in one shell, and compare what each block prints with what it says."""
    blocks = _BLOCK.findall(readme(name))
    assert [kind for kind, _ in blocks if kind == "text"], "there is something to compare"
    script = "set -eu\n" + "".join(text if kind == "sh" else "echo; echo '--- expected'\n" for kind, text in blocks)
    env = {**os.environ, "URL": url}
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("--- expected\n")
    for output, expected in zip(printed, (text for kind, text in blocks if kind == "text"), strict=False):
        assert re.fullmatch(_pattern(expected), output.strip(), re.DOTALL), f"{output}\nis not\n{expected}"


def _pattern(expected: str) -> str:
    """What the output must match: `…` stands for anything."""
    return ".*".join(re.escape(part) for part in expected.strip().split("…"))
