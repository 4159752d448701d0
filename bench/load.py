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
_ONE_OF = """
local texts = {}
init = function(args)
  for _, v in ipairs(variants) do
    local headers = {}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    for name, value in pairs(v.headers) do headers[name] = value end
    texts[#texts + 1] = wrk.format(nil, nil, headers, v.body)
  end
end
request = function()
  return texts[math.random(#texts)]
end
"""
_CHAINED = """
request = function()
  return wrk.format(nil, nil, nil, (body:gsub("TOKEN", table.remove(tokens, 1) or "none-left")))
end
response = function(status, headers, answer)
  tokens[#tokens + 1] = answer:match('"refresh_token":%s*"([^"]+)"')
end
"""


@dataclass(frozen=True)
class Result:
    """What a run of so many seconds found; times of answers in milliseconds."""

    per_second: float
    p50: float
    p99: float
    bad: int
    seconds: float


@dataclass(frozen=True)
class Request:
    """What to send, again and again.

    Args:
        bodies: one of these, at random.
        callers: headers in addition, one of these, at random.
        chained_body: this one, with a refresh token in the place of `TOKEN`: one of `tokens`, or of earlier answers.
    """

    method: str = "GET"
    headers: Mapping[str, str] | None = None
    bodies: Sequence[str] = ()
    callers: Sequence[Mapping[str, str]] = ()
    chained_body: str = ""
    tokens: Sequence[str] = ()

    def script(self) -> str:
        """The same in wrk's Lua."""
        lines = [f"wrk.method = {json.dumps(self.method)}"]
        lines += [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in (self.headers or {}).items()]
        if self.bodies or self.callers:
            pairs = [(body, caller) for body in self.bodies or [""] for caller in self.callers or [{}]]
            lines += ["local variants = {", *(_variant(body, caller) for body, caller in pairs), "}", _ONE_OF]
        elif self.chained_body:
            tokens = ", ".join(json.dumps(token) for token in self.tokens)
            lines += [f"local body, tokens = {_lua(self.chained_body)}, {{{tokens}}}", _CHAINED]
        return "\n".join(lines) + _REPORT


def _lua(text: str) -> str:
    return f"[==[{text}]==]"


def _variant(body: str, caller: Mapping[str, str]) -> str:
    headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in caller.items())
    return f"{{body = {_lua(body) if body else 'nil'}, headers = {{{headers}}}}},"


def require_wrk() -> None:
    """Install wrk if it is missing; Debian has it."""
    if shutil.which("wrk") is None:
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True, stdout=sys.stderr)


def start(url: str, request: Request, *, connections: int, seconds: int) -> "Running":
    """Start a run."""
    script = Path(tempfile.mkstemp(suffix=".lua")[1])
    script.write_text(request.script())
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    process = subprocess.Popen([*on_core(LOAD_CORE), *wrk], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
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
        took = found["microseconds"] / 1000
        # Where nothing was answered, all of them took at least as long as the run.
        p50, p99 = (found["p50"] / 1000, found["p99"] / 1000) if found["requests"] else (took, took)
        return Result(found["requests"] / (took / 1000), p50, p99, found["bad"], took / 1000)


def run(url: str, request: Request, *, connections: int, seconds: int) -> Result:
    """One run from start to end."""
    return start(url, request, connections=connections, seconds=seconds).result()
