"""Logs: JSON lines in production, readable ones in development. One line an event, escaped, cut, with request ids."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

MAX_TEXT = 2000
_FIELDS = ()


def configure_logs(*, json_lines: bool, level: int = logging.INFO) -> None:
    """Send every log record of the process, uvicorn's included, to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=_FIELDS),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _cut,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=True)
        if json_lines
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)
    for quiet in ("uvicorn.error", "alembic", "aiosqlite", "asyncio"):
        logging.getLogger(quiet).setLevel(logging.WARNING)


def _cut(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No text of a client's makes a line of any length, moves the cursor or begins a line of its own."""
    for key, value in event.items():
        if isinstance(value, str):
            limit = 20 * MAX_TEXT if key == "exception" else MAX_TEXT
            event[key] = _plain(value[:limit]) if key != "exception" else value[:limit]
    return event


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
