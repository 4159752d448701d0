"""The usual life on many nodes behind a balancer, and what must hold on all of them at once."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial

from tests.faults.cluster import WORKERS, Cluster
from tests.faults.row import Trial
from tests.process.people import Login, login, me, new_person, refresh
from tests.process.test_limits_shared import PAIR, burst
from tests.process.test_refresh_race import race_refreshes
from tests.process.test_revocation import CAUSES, make_scene, revoke_and_strike
from tests.process.wire import Ask, Wires, connect_to_all, once

LIMITED = {"PROPUSK_LIMITS__LOGIN_PAIR": f"{PAIR}/15m"}
SOURCE = "127.0.0.9"
"""The address of a client, to be seen through the balancer."""


def on_nodes(cluster: Cluster, on: str, scale: float) -> Iterator[Trial]:
    """Everything that is tried on a cluster with the usual limit of logins."""
    rounds = max(1, round(4 * scale))
    yield Trial("the usual life, through the balancer", on, lambda: asyncio.run(live(cluster)))
    yield Trial("T04: 200 wrong logins at once, over all nodes", on, lambda: asyncio.run(_burst(cluster, rounds)))
    yield Trial("T20: 32 refreshes with one token, over all nodes", on, partial(_race, cluster, rounds))
    yield Trial("T23: going on after each kind of end, on all nodes", on, partial(_revoke, cluster))
    yield Trial("T47: rights taken away on one node, used on each", on, lambda: asyncio.run(_demote(cluster)))
    yield Trial("T57: a key revoked on one node, used on each", on, lambda: asyncio.run(_revoke_key(cluster)))


async def live(cluster: Cluster) -> tuple[str]:
    """Register, log in, be seen, refresh, end all sessions: each request wherever the balancer sends it."""
    person = await new_person(cluster.port)
    one, two = [Login.of(await once(cluster.port, login(person.email), source=SOURCE)) for _ in range(2)]
    used = set()
    for _ in range(10 * len(cluster.nodes) * WORKERS):
        answer = await once(cluster.port, me(one.access))
        assert answer.status == 200, answer.body
        used.add(answer.worker)
    listed = await once(cluster.port, Ask("GET", "/auth/sessions", token=one.access))
    assert {item["ip"] for item in listed.json()["items"]} == {SOURCE}
    one = Login.of(await once(cluster.port, refresh(one.refresh)))
    ended = await once(cluster.port, Ask("DELETE", "/auth/sessions", token=one.access))
    assert ended.status == 200, ended.body
    for port in cluster.ports:
        for old in (one, two):
            assert (await once(port, me(old.access))).status == 401
            assert (await once(port, refresh(old.refresh))).status == 401
    return (f"well; {len(used)} processes answered; the client's address is seen",)


async def _burst(cluster: Cluster, rounds: int) -> tuple[str]:
    most = 0
    for _ in range(rounds):
        person = await new_person(cluster.port)
        async with Wires() as wires:
            for port in cluster.ports:
                wires.extend(await connect_to_all(port, 200 // len(cluster.nodes), workers=WORKERS))
            most = max(most, await burst(wires, person.email))
        assert most <= PAIR, f"{most} guesses were evaluated, the limit is {PAIR}"
        last = await once(cluster.port, login(person.email))
        assert last.status == 429, f"the right password, sent last, got {last.status}"
    return (f"at most {most} evaluated, the limit is {PAIR}; {rounds} rounds",)


def _race(cluster: Cluster, rounds: int) -> tuple[str]:
    asyncio.run(race_refreshes(*cluster.nodes, rounds=rounds))
    return (f"one successor in each of {rounds} rounds, no 5xx",)


def _revoke(cluster: Cluster) -> tuple[str]:
    async def run() -> int:
        total = 0
        for act, victims, survivors in CAUSES.values():
            scene = await make_scene(*cluster.nodes, victims=victims, survivors=survivors)
            total += await revoke_and_strike(scene, act, strikes=500)
        return total

    return (f"0 of {asyncio.run(run())} requests accepted after the acknowledgement, {len(CAUSES)} kinds",)


async def _demote(cluster: Cluster) -> tuple[str]:
    """A superuser's session goes on without the rights, from the next request on, whichever process answers it."""
    person, asked = await new_person(cluster.port), 10 * WORKERS
    await _command(cluster, "users", "promote", person.email)
    one = await person.log_in()
    for status, act in ((200, None), (403, "demote"), (200, "promote")):
        if act is not None:
            await _command(cluster, "users", act, person.email)
        for port in cluster.ports * asked:
            assert (await once(port, Ask("GET", "/users", token=one.access))).status == status
    return (f"403 to all of {asked * len(cluster.ports)}, and 200 again when they are given back",)


async def _revoke_key(cluster: Cluster) -> tuple[str]:
    """What it signed is refused everywhere once the command returns; the session goes on with its refresh token."""
    one, asked = await (await new_person(cluster.port)).log_in(), 10 * WORKERS
    [signing] = [
        key for key in json.loads(await _command(cluster, "keys", "list", "--json")) if key["state"] == "signing"
    ]
    await _command(cluster, "keys", "rotate")
    for port in cluster.ports * asked:
        assert (await once(port, me(one.access))).status == 200
    await _command(cluster, "keys", "revoke", signing["kid"])
    for port in cluster.ports * asked:
        assert (await once(port, me(one.access))).status == 401
    again = Login.of(await once(cluster.port, refresh(one.refresh)))
    for port in cluster.ports * asked:
        assert (await once(port, me(again.access))).status == 200
    return (f"401 to all of {asked * len(cluster.ports)}, and 200 to as many after a refresh",)


async def _command(cluster: Cluster, *arguments: str) -> str:
    done = await asyncio.to_thread(cluster.nodes[0].service.run, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout
