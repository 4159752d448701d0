"""What the enabled features contribute at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from propusk.context import Context
    from propusk.events import Event


@dataclass(frozen=True)
class Subscriber:
    """Hears of events of one kind, subclasses included, in the transaction that caused them."""

    event: type[Event]
    handle: Callable[[Context, Any], Awaitable[None]]


@dataclass(frozen=True)
class Registry:
    """All contributions, in the order of the features."""

    subscribers: tuple[Subscriber, ...] = ()
