"""Load by wrk, from the other core."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import LOAD_CORE, on_core

_REPORT = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.stderr:write(string.format('{"requests": %d, "microseconds": %d, "bad": %d, "p50": %d, "p99": %d}',
    summary.requests, summary.duration, bad, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Result:
    """What a run found; times in milliseconds."""

    per_second: float
    p50: float
    p99: float
    bad: int


@dataclass(frozen=True)
class Request:
    """What to send: one request again and again, or a random one of several bodies."""

    method: str = "GET"
    headers: Mapping[str, str] | None = None
    bodies: Sequence[str] = ()

    def script(self) -> str:
        """The same in wrk's Lua."""
        lines = [f"wrk.method = {json.dumps(self.method)}"]
        lines += [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in (self.headers or {}).items()]
        if self.bodies:
            lines.append("local bodies = {" + ", ".join(_lua(body) for body in self.bodies) + "}")
            lines.append("request = function() return wrk.format(nil, nil, nil, bodies[math.random(#bodies)]) end")
        return "\n".join(lines) + _REPORT


def _lua(text: str) -> str:
    return f"[==[{text}]==]"


def require_wrk() -> None:
    """Install wrk if it is missing; Debian has it."""
    if shutil.which("wrk") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True, stdout=sys.stderr)


def start(url: str, request: Request, *, connections: int, seconds: int) -> "Running":
    """Start a run."""
    script = Path(tempfile.mkstemp(suffix=".lua")[1])
    script.write_text(request.script())
    command = [
        *on_core(LOAD_CORE),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(script),
        url,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return Running(process, script)


@dataclass(frozen=True)
class Running:
    """A run that is going on."""

    process: "subprocess.Popen[bytes]"
    script: Path

    def result(self) -> Result:
        """Wait for its end."""
        _, report = self.process.communicate()
        self.script.unlink()
        found = json.loads(report)
        return Result(
            per_second=found["requests"] / (found["microseconds"] / 1e6),
            p50=found["p50"] / 1000,
            p99=found["p99"] / 1000,
            bad=found["bad"],
        )


def run(url: str, request: Request, *, connections: int, seconds: int) -> Result:
    """One run from start to end."""
    return start(url, request, connections=connections, seconds=seconds).result()
