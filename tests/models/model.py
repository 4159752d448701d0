"""What a model is: something to explore, with guards that can be taken away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.models.explore import Found


@dataclass(frozen=True)
class Model:
    """One model.

    Args:
        name: what it is about, in a few words.
        mirrors: the functions whose statements it copies.
        explore: explores it with one guard gone, or with all of them.
        bugs: the guards that can be taken away, and what is then done instead.
    """

    name: str
    mirrors: str
    explore: Callable[[str | None], Found]
    bugs: Mapping[str, str]
