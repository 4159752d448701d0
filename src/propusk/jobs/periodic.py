"""A function of somebody's as a periodic job."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from propusk.context import Context
from propusk.registry import Periodic

PeriodicFunction = TypeVar("PeriodicFunction", bound=Callable[[Context], Awaitable[bool | None]])
FASTEST = timedelta(seconds=1)
LONGEST_NAME = 100


def periodic(
    function: Callable[[Context], Awaitable[bool | None]], *, every: timedelta, name: str | None = None
) -> Periodic:
    """A job that runs `function`.

    Raises:
        ValueError: the name is empty or over 100 characters long, or the rhythm faster than a second.
        TypeError: no async function.
    """
    if not inspect.iscoroutinefunction(inspect.unwrap(function)) and not inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object that is called is asked what it does then)
    ):
        raise TypeError("a periodic job is an async function: async def tidy(ctx: Context) -> None")
    if every < FASTEST:
        raise ValueError("a periodic job runs once a second at most: give hours, minutes or seconds")
    if name is None:
        name = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ValueError(f"the name of a job has 1 to {LONGEST_NAME} printable characters: {name!r}")
    return Periodic(name, every, function)
