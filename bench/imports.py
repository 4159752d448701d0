"""What is loaded, in MiB of resident memory and ms: `python -m bench.imports` in the service's environment."""

import json
import time
from importlib import import_module
from pathlib import Path

STEPS = {
    "Python, its asyncio and TLS": ("asyncio", "ssl"),
    "uvicorn, uvloop, httptools, click": ("uvloop", "httptools", "click", "uvicorn.main"),
    "cryptography, joserfc": (
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        "cryptography.hazmat.primitives.kdf.argon2",
        "joserfc.jwt",
    ),
    "SQLAlchemy, aiosqlite": ("sqlalchemy.ext.asyncio", "sqlalchemy.dialects.sqlite.aiosqlite", "aiosqlite"),
    "Pydantic": ("pydantic", "pydantic_settings"),
    "FastAPI, Starlette": ("fastapi", "fastapi.openapi.utils"),
    "Jinja, structlog, aiosmtplib": ("jinja2", "structlog", "aiosmtplib"),
    "Propusk": ("propusk.cli.serve", "propusk.features.password.api"),
}
"""In an order in which nothing loads what comes later."""


def _resident_mib() -> float:
    text = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))) / 1024


if __name__ == "__main__":
    steps, weight = {}, 0.0
    for name, modules in STEPS.items():
        begun = time.perf_counter()
        for module in modules:
            import_module(module)
        now = _resident_mib()
        steps[name] = now - weight, 1000 * (time.perf_counter() - begun)
        weight = now
    print(json.dumps(steps))
