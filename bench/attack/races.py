"""Revocation, refreshes and changes in flight, in many rounds on four workers and on two nodes."""

import asyncio
from collections.abc import Iterator
from functools import partial

from bench.attack.row import Attack
from tests.process.test_in_flight import DEPOSITIONS, race_depositions, race_password_change, race_password_changes
from tests.process.test_refresh_race import race_refreshes, race_registrations
from tests.process.test_revocation import CAUSES, make_scene, revoke_and_strike
from tests.process.town import Town


def races(town: Town, scale: float) -> Iterator[Attack]:
    """Against one service of four workers.

    Args:
        scale: 1 for the full number of rounds.
    """
    against = f"{town.backend.name}, 4 workers"

    def rounds(full: int) -> int:
        return max(1, round(full * scale))

    for cause in CAUSES:
        yield Attack("T23", f"go on after: {cause}", against, partial(_revoke, town, cause, rounds(5)))
    yield Attack("T20", "32 refreshes with one token", against, lambda: _refresh(town, rounds=rounds(20)))
    yield Attack("T25", "logins, refreshes during a password change", against, lambda: _flight(town, rounds(200)))
    yield Attack("T25", "two password changes at once", against, lambda: _changes(town, rounds(50)))
    for how in DEPOSITIONS:
        yield Attack("T11", f"mutual {how} of two superusers", against, partial(_depose, town, how, rounds(20)))
    yield Attack("T58", "32 registrations of one address", against, lambda: _register(town, rounds(20)))


def races_of_nodes(nodes: tuple[Town, Town], scale: float) -> Iterator[Attack]:
    """Against two nodes of two workers each."""
    against = f"{nodes[0].backend.name}, 2 nodes"
    rounds = max(1, round(5 * scale))
    for cause in CAUSES:
        yield Attack("T23", f"go on after: {cause}", against, partial(_revoke, nodes[0], cause, rounds, nodes[1]))
    yield Attack("T20", "32 refreshes with one token", against, lambda: _refresh(*nodes, rounds=4 * rounds))


def _revoke(town: Town, cause: str, rounds: int, *others: Town) -> str:
    act, victims, survivors = CAUSES[cause]

    async def run() -> int:
        total = 0
        for _ in range(rounds):
            scene = await make_scene(town, *others, victims=victims, survivors=survivors)
            total += await revoke_and_strike(scene, act, strikes=2000)
        return total

    return f"0 of {asyncio.run(run())} requests accepted after the acknowledgement, rounds: {rounds}"


def _refresh(*nodes: Town, rounds: int) -> str:
    asyncio.run(race_refreshes(*nodes, rounds=rounds))
    return f"one successor in each of {rounds} rounds, no 5xx"


def _flight(town: Town, rounds: int) -> str:
    asyncio.run(race_password_change(town, rounds=rounds))
    return f"nothing older lives in {rounds} rounds"


def _changes(town: Town, rounds: int) -> str:
    asyncio.run(race_password_changes(town, rounds=rounds))
    return f"one won in each of {rounds} rounds"


def _depose(town: Town, how: str, rounds: int) -> str:
    asyncio.run(race_depositions(town, DEPOSITIONS[how], rounds=rounds))
    return f"one left in each of {rounds} rounds"


def _register(town: Town, rounds: int) -> str:
    asyncio.run(race_registrations(town, rounds=rounds))
    return f"one 201 and 31 times 409 in each of {rounds} rounds"
