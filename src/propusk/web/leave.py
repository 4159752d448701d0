"""Leaving without a failed request: who is to stop says so first, and goes on until the balancers have heard it."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from fastapi import FastAPI

log = logging.getLogger(__name__)


def is_leaving(app: FastAPI) -> bool:
    """Whether this process is about to stop."""
    return getattr(app.state, "propusk_is_leaving", False)


@contextmanager
def announced(app: FastAPI, delay: timedelta) -> Iterator[None]:
    """Meanwhile the first SIGTERM makes `/readyz` red, and takes effect after `delay` only; a second one at once.

    Ctrl+C is a person who waits, so it does not. Without a delay, or outside of the main thread, nothing changes.
    """
    if not delay or threading.current_thread() is not threading.main_thread():
        yield
        return
    server: Any = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def leave(number: int, frame: FrameType | None) -> None:
        if is_leaving(app):
            server(number, frame)
            return
        app.state.propusk_is_leaving = True
        log.info("asked to stop: not ready any more, gone in %.0f s", delay.total_seconds())
        loop.call_soon_threadsafe(loop.call_later, delay.total_seconds(), server, number, None)

    if not callable(server):
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)
