"""What goes to a database server for a login beside its statements: each trip costs the loop more than its own work."""

import pytest
from pydantic import SecretStr

from propusk.tokens.keys import Keys
from tests.backends import Backend
from tests.conftest import MakeHouse
from tests.process.proxy import PORTS, Proxy


async def rest(keys: Keys) -> None:
    """They are not read any more, which is else done by itself every other second."""
    if keys._loading is not None:
        await keys._loading
    keys._loaded = float("inf")


async def test_a_login_begins_one_transaction_and_rolls_nothing_back(make_house: MakeHouse, backend: Backend) -> None:
    if backend.name not in PORTS:
        pytest.skip("SQLite is at the end of no wire")
    with Proxy(backend.name) as proxy:
        house = await make_house(database_url=SecretStr(proxy.url(backend.url)))
        ada = await house.register()
        await ada.log_in()
        await rest(house.auth.keys)
        with proxy.overheard() as heard:
            await ada.log_in()
        await house.close()
    sent = b"".join(heard)
    assert proxy.commit in sent, "something was heard"
    assert sent.count(b"BEGIN") + sent.count(b"ROLLBACK") == (1 if backend.name == "postgresql" else 0)
