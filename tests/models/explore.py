"""Every order of the steps of a few actors, tried out: small models of what races in a database, or outside of it.

An actor is a generator. It yields a step and is sent what came of it, so it reads like the code that it mirrors. The
database is as strict as READ COMMITTED and no stricter: a statement sees what is committed when it runs, and its own
transaction; an update waits for whoever has written the row, and then looks at the row again.
"""

from collections import deque
from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Rows = Mapping[str, Any]


@dataclass(frozen=True)
class World:
    """What there is: committed rows, rows that somebody has written and not committed, and facts in their order."""

    rows: frozenset[tuple[str, Hashable]]
    written: frozenset[tuple[str, str, Hashable]] = frozenset()
    facts: tuple[str, ...] = ()

    def row(self, name: str) -> Any:
        """A committed row."""
        return dict(self.rows)[name]

    def seen_by(self, actor: str) -> dict[str, Any]:
        """The rows as a statement of this actor finds them."""
        return dict(self.rows) | {row: value for who, row, value in self.written if who == actor}

    def is_locked(self, row: str, actor: str) -> bool:
        """Whether somebody else has written the row and not committed."""
        return any(name == row and who != actor for who, name, _ in self.written)

    def write(self, actor: str, row: str, value: Hashable) -> "World":
        others = {entry for entry in self.written if entry[:2] != (actor, row)}
        return World(self.rows, frozenset(others | {(actor, row, value)}), self.facts)

    def end(self, actor: str, *, keep: bool) -> "World":
        """The end of a transaction."""
        rows = frozenset(self.seen_by(actor).items()) if keep else self.rows
        return World(rows, frozenset(entry for entry in self.written if entry[0] != actor), self.facts)

    def with_fact(self, fact: str | None) -> "World":
        return World(self.rows, self.written, (*self.facts, fact)) if fact else self

    def is_before(self, one: str, other: str) -> bool:
        """Whether both are facts, in this order."""
        return one in self.facts and other in self.facts[self.facts.index(one) :]


Outcomes = Iterable[tuple[World, Any]]


@dataclass(frozen=True)
class Step:
    """Something that happens at one moment. No outcome: the actor has to wait."""

    label: str
    outcomes: Callable[[World, str], Outcomes]


Program = Generator[Step, Any, None]
Part = Generator[Step, Any, Any]
"""A part of a program, which returns something."""


def read(label: str, look: Callable[[Rows], Any], fact: str | None = None) -> Step:
    """A SELECT, whatever it joins."""
    return Step(label, lambda world, actor: [(world.with_fact(fact), look(world.seen_by(actor)))])


def update(
    label: str, row: str, where: Callable[[Any], bool], to: Callable[[Any], Any], fact: str | None = None
) -> Step:
    """An UPDATE of one row by its id; whether it matched."""

    def outcomes(world: World, actor: str) -> Outcomes:
        if world.is_locked(row, actor):
            # PostgreSQL does not wait for a row whose committed version does not match; MariaDB does.
            if not where(world.row(row)):
                yield world, False
        elif where(value := world.seen_by(actor)[row]):
            yield world.write(actor, row, to(value)).with_fact(fact), True
        else:
            yield world, False

    return Step(label, outcomes)


def read_locked(label: str, row: str) -> Step:
    """A SELECT … FOR UPDATE of one row."""

    def outcomes(world: World, actor: str) -> Outcomes:
        if not world.is_locked(row, actor):
            value = world.seen_by(actor)[row]
            yield world.write(actor, row, value), value

    return Step(label, outcomes)


def insert(label: str, row: str, value: Hashable) -> Step:
    return Step(label, lambda world, actor: [(world.write(actor, row, value), None)])


def commit(fact: str | None = None) -> Step:
    return Step("commit", lambda world, actor: [(world.end(actor, keep=True).with_fact(fact), None)])


def rollback() -> Step:
    return Step("rollback", lambda world, actor: [(world.end(actor, keep=False), None)])


def note(fact: str) -> Step:
    """Something that the world outside sees: an answer, say."""
    return Step(fact, lambda world, _: [(world.with_fact(fact), None)])


def choose(label: str, *results: Hashable) -> Step:
    """Any of these may happen."""
    return Step(label, lambda world, _: [(world, result) for result in results])


def act(label: str, change: Callable[[Rows], Iterable[tuple[Rows, Any]]]) -> Step:
    """Something outside the database: says what the rows become, and what comes of it; nothing while it must wait."""
    return Step(
        label,
        lambda world, _: [
            (World(frozenset(rows.items()), world.written, world.facts), result)
            for rows, result in change(dict(world.rows))
        ],
    )


@dataclass(frozen=True)
class Found:
    """What an exploration found: the number of states, and the shortest way to something that must not be."""

    states: int
    wrong: str | None = None
    trace: tuple[str, ...] = ()


_State = tuple[World, tuple[tuple[Any, ...], ...]]


def explore(
    rows: Rows,
    actors: Mapping[str, Callable[[], Program]],
    *,
    check: Callable[[World], str | None],
    at_end: Callable[[World], str | None] = lambda _: None,
    may_wait: Collection[str] = (),
) -> Found:
    """Go through every state that can be reached, nearest first; stop at the first that must not be.

    Args:
        check: what is wrong with a state, if anything.
        at_end: the same, of states in which everybody has finished.
        may_wait: actors that may wait for ever.
    """
    names, steps = tuple(actors), dict[tuple[str, tuple[Any, ...]], Step | None]()

    def next_step(name: str, results: tuple[Any, ...]) -> Step | None:
        """What an actor does next is known by what came of its steps so far."""
        if (name, results) not in steps:
            program = actors[name]()
            try:
                step: Step | None = next(program)
                for result in results:
                    step = program.send(result)
            except StopIteration:
                step = None
            steps[name, results] = step
        return steps[name, results]

    start: _State = (World(frozenset(rows.items())), ((),) * len(names))
    came: dict[_State, tuple[_State, str] | None] = {start: None}
    queue = deque([start])
    while queue:
        world, pasts = state = queue.popleft()
        todo = {n: step for n, name in enumerate(names) if (step := next_step(name, pasts[n])) is not None}
        moved = False
        for n, step in todo.items():
            for after, result in step.outcomes(world, names[n]):
                moved = True
                new: _State = (after, (*pasts[:n], (*pasts[n], result), *pasts[n + 1 :]))
                if new not in came:
                    came[new] = (state, f"{names[n]}: {step.label}" + ("" if result is None else f" → {result}"))
                    queue.append(new)
        wrong = check(world)
        stuck = [names[n] for n in todo if names[n] not in may_wait]
        if wrong is None and not moved:
            wrong = f"{', '.join(stuck)} wait for ever" if stuck else at_end(world)
        if wrong is not None:
            return Found(len(came), wrong, _way(came, state))
    return Found(len(came))


def explore_each(explorations: Iterable[Found]) -> Found:
    """Several explorations as one, up to the first that finds something."""
    states = 0
    for found in explorations:
        states += found.states
        if found.wrong is not None:
            return replace(found, states=states)
    return Found(states)


def _way(came: Mapping[Any, tuple[Any, str] | None], state: Any) -> tuple[str, ...]:
    way = []
    while (before := came[state]) is not None:
        state, text = before
        way.append(text)
    return tuple(reversed(way))
