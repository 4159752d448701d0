"""What a feature contributes, in all. The whole plugin surface is this file."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from propusk.registry import Registry, Subscriber


@dataclass(frozen=True)
class Feature:
    """A feature as data: core loops over these and never asks which ones are enabled."""

    name: str
    routers: tuple[APIRouter, ...] = ()
    subscribers: tuple[Subscriber, ...] = ()


def collect(features: Sequence[Feature]) -> Registry:
    """What the features contribute at run time.

    Raises:
        ValueError: two features of one name.
    """
    names = [feature.name for feature in features]
    if len(set(names)) < len(names):
        raise ValueError(f"two features of one name: {', '.join(sorted(names))}")
    return Registry(subscribers=tuple(s for feature in features for s in feature.subscribers))
