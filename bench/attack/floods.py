"""Bursts and floods: limits that may not be outrun, hashing that may not starve the rest."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from bench.attack.row import Attack
from propusk.crypto.passwords import hashing_threads
from tests.process.people import Login, login, me, new_person, refresh
from tests.process.service import Service
from tests.process.test_limits_shared import PAIR, burst
from tests.process.test_overload import MEMORY_MIB, SLACK_MIB, flood, peak_mib, ping
from tests.process.town import Town
from tests.process.wire import Ask, Wires, connect, connect_to_all, once

BURST = 200


def bursts(town: Town, scale: float) -> Iterator[Attack]:
    """Against one service of four workers with the usual limit."""
    rounds = max(1, round(10 * scale))
    against = f"{town.backend.name}, 4 workers"
    yield Attack("T04", f"{BURST} wrong logins at once", against, lambda: _burst((town,), rounds))
    yield Attack("T21", "1000 replays of a stolen token", against, lambda: _replay(town))


def bursts_on_nodes(nodes: tuple[Town, Town], scale: float) -> Iterator[Attack]:
    """The same against two nodes."""
    rounds = max(1, round(10 * scale))
    against = f"{nodes[0].backend.name}, 2 nodes"
    yield Attack("T04", f"{BURST} wrong logins at once", against, lambda: _burst(nodes, rounds))


def _burst(nodes: tuple[Town, ...], rounds: int) -> str:
    async def run() -> list[int]:
        evaluated = []
        for _ in range(rounds):
            person = await new_person(nodes[0].port)
            async with Wires() as wires:
                for node in nodes:
                    wires.extend(await connect_to_all(node.port, BURST // len(nodes), workers=node.service.workers))
                evaluated.append(await burst(wires, person.email))
            answer = await once(nodes[0].port, login(person.email))
            assert answer.status == 429, f"the right password, sent last, got {answer.status}"
        return evaluated

    found = asyncio.run(run())
    assert max(found) <= PAIR, f"{max(found)} guesses were evaluated, the limit is {PAIR}"
    return f"{min(found)} to {max(found)} evaluated, the limit is {PAIR}; {rounds} rounds"


def _replay(town: Town) -> str:
    async def run() -> int:
        one = await (await new_person(town.port)).log_in()
        token = one.refresh
        for _ in range(2):
            token = Login.of(await once(town.port, refresh(token))).refresh
        async with await connect(town.port, 50) as wires:
            for _ in range(20):
                answers = await asyncio.gather(*(wire.ask(refresh(one.refresh)) for wire in wires))
                assert {answer.status for answer in answers} == {401}, "a replay was answered"
        events = town.records.tables.audit_events
        session_id = (await town.records.session(one.session_id))["id"]
        where = (events.c.session_id == session_id, events.c.kind == "refresh_token_reuse_detected")
        return len(await town.records.rows(events, *where))

    incidents = asyncio.run(run())
    assert incidents == 1, f"{incidents} incidents were written"
    return "one incident in the audit trail, every replay 401"


def flooded(service: Service, seconds: float) -> Iterator[Attack]:
    """Against one worker that hashes at full cost."""
    against = "sqlite, 1 worker, full hashing"
    yield Attack("T09", "500 logins at once, again and again", against, lambda: _flood(service, seconds))


def _flood(service: Service, seconds: float) -> str:
    async def run() -> str:
        loop = asyncio.get_running_loop()
        person = await new_person(service.port)
        token = (await person.log_in()).access
        quiet = await _p99(service, me(token), seconds)
        base = peak_mib(service.pid)
        attack = partial(_flood_for, service.port, person.email, seconds)
        # In processes of their own, which stand back: what 500 answers take from the attacker is no delay of others.
        with ProcessPoolExecutor(2, get_context("spawn"), initializer=os.nice, initargs=(10,)) as attackers:
            floods = [loop.run_in_executor(attackers, attack, f"127.0.0.{n}") for n in (2, 3)]
            await asyncio.sleep(2)
            stormy = await _p99(service, me(token), seconds - 3)
            turned_away = sum(await asyncio.gather(*floods))
        growth = peak_mib(service.pid) - base
        bound = hashing_threads(1) * MEMORY_MIB + SLACK_MIB
        assert turned_away > 0, "the flood was too small to fill the queue"
        assert growth < bound, f"memory grew by {growth:.0f} MiB, the bound is {bound}"
        assert stormy < 5 * quiet, f"p99 of /users/me {1000 * quiet:.1f} ms quiet, {1000 * stormy:.1f} ms in the flood"
        begun = time.monotonic()
        assert (await once(service.port, login(person.email))).status == 200, "not well afterwards"
        return (
            f"p99 of /users/me {1000 * quiet:.1f} ms quiet, {1000 * stormy:.1f} ms in the flood; {turned_away} turned"
            f" away; memory +{growth:.0f} MiB; a login right after took {time.monotonic() - begun:.2f} s"
        )

    return asyncio.run(run())


async def _p99(service: Service, request: Ask, seconds: float) -> float:
    stop = asyncio.Event()
    pings = [asyncio.create_task(ping(service.port, request, stop)) for _ in range(8)]
    await asyncio.sleep(seconds)
    stop.set()
    times = [value for found in await asyncio.gather(*pings) for value in found]
    return statistics.quantiles(times, n=100)[98]


def _flood_for(port: int, email: str, seconds: float, source: str) -> int:
    """Wave after wave; how many were turned away."""

    async def run() -> int:
        end, turned_away = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            answers = await flood(port, email, source=source, count=250)
            turned_away += sum(answer.status == 503 for _, answer in answers)
        return turned_away

    return asyncio.run(run())
