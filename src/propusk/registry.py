"""What the enabled features contribute at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from propusk.context import Context
    from propusk.events import Event
    from propusk.mail.models import Letter, Mail

MailWriter: TypeAlias = "Callable[[Context, Mail], Awaitable[Letter | None]]"
"""Writes one kind of mail when its turn comes, in a transaction; None when there is nothing to say any more."""


@dataclass(frozen=True)
class Subscriber:
    """Hears of events of one kind, subclasses included, in the transaction that caused them."""

    event: type[Event]
    handle: Callable[[Context, Any], Awaitable[None]]


@dataclass(frozen=True)
class Periodic:
    """Work to be done again and again, in one process of all: in a transaction of its own, which commits only if
    nobody else has taken over meanwhile. `run` says whether there is more to do at once.
    """

    name: str
    every: timedelta
    run: Callable[[Context], Awaitable[bool | None]]


@dataclass(frozen=True)
class Registry:
    """All contributions, in the order of the features."""

    subscribers: tuple[Subscriber, ...] = ()
    mails: Mapping[str, MailWriter] = field(default_factory=dict)
    periodic: tuple[Periodic, ...] = ()
