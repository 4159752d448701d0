"""What a feature contributes, in all. The whole plugin surface is this file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter

from propusk.registry import MailWriter, Periodic, Registry, Subscriber


@dataclass(frozen=True)
class Feature:
    """A feature as data: core loops over these and never asks which ones are enabled."""

    name: str
    routers: tuple[APIRouter, ...] = ()
    subscribers: tuple[Subscriber, ...] = ()
    mails: Mapping[str, MailWriter] = field(default_factory=dict)
    periodic: tuple[Periodic, ...] = ()


def collect(features: Sequence[Feature]) -> Registry:
    """What the features contribute at run time.

    Raises:
        ValueError: two features, kinds of mail or jobs of one name.
    """
    _check_unique("features", (feature.name for feature in features))
    _check_unique("kinds of mail", (kind for feature in features for kind in feature.mails))
    _check_unique("jobs", (job.name for feature in features for job in feature.periodic))
    return Registry(
        subscribers=tuple(s for feature in features for s in feature.subscribers),
        mails={kind: writer for feature in features for kind, writer in feature.mails.items()},
        periodic=tuple(job for feature in features for job in feature.periodic),
    )


def _check_unique(what: str, names: Iterable[str]) -> None:
    names = list(names)
    if len(set(names)) < len(names):
        raise ValueError(f"two {what} of one name: {', '.join(sorted(names))}")
