"""Two nodes on one database are one service: what one ends, the other refuses; what one counts, the other knows."""

import pytest

from tests.process.people import login, new_person
from tests.process.test_limits_shared import PAIR, burst
from tests.process.test_refresh_race import race_refreshes
from tests.process.test_revocation import CAUSES, make_scene, revoke_and_strike
from tests.process.town import Town
from tests.process.wire import Wires, connect, once

pytestmark = pytest.mark.xdist_group("clusters")


@pytest.mark.parametrize("cause", ["logout by bearer", "password change", "deactivation", "reuse of a refresh token"])
async def test_t23_nothing_is_accepted_on_the_other_node_either(nodes: tuple[Town, Town], cause: str) -> None:
    act, victims, survivors = CAUSES[cause]
    scene = await make_scene(*nodes, victims=victims, survivors=survivors)
    await revoke_and_strike(scene, act, strikes=300)


async def test_t20_refreshes_that_race_on_two_nodes_get_one_successor(nodes: tuple[Town, Town]) -> None:
    await race_refreshes(*nodes, rounds=3)


async def test_t04_two_nodes_share_their_limits(nodes: tuple[Town, Town]) -> None:
    person = await new_person(nodes[0].port)
    async with await connect(nodes[0].port, 50) as one, await connect(nodes[1].port, 50) as two:
        assert await burst(Wires([*one, *two]), person.email) == PAIR
    for node in nodes:
        assert (await once(node.port, login(person.email))).status == 429
