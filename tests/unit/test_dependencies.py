"""What FastAPI calls before each of our endpoints."""

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from propusk.features import admin, email, password
from propusk.web.install import ALWAYS


def dependencies_of(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from dependencies_of(inner)


def test_none_takes_a_thread() -> None:
    """FastAPI runs what is not async in one: a hop there and back for each request."""
    routers = [*ALWAYS, *(router for made in (admin, email, password) for router in made.feature().routers)]
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    called = {call for route in routes for call in dependencies_of(route.dependant)}
    assert len(called) > 5
    hops = [call for call in called if not _is_async(call) and not _is_async(type(call).__call__)]
    assert hops == []


def _is_async(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
