"""What is asked most is answered past the layers that FastAPI puts before every request."""

import httpx
from starlette.types import Receive, Scope, Send

from tests.kit import House


async def test_login_refresh_and_who_one_is_go_past_fastapis_layers(house: House) -> None:
    ada = await house.register()
    through: list[str] = []

    async def layers(scope: Scope, _receive: Receive, send: Send) -> None:
        through.append(scope["path"])
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    house.app.middleware_stack = layers
    again = await ada.log_in()
    assert (await again.refresh()).status_code == 200
    assert await again.is_in()
    assert through == []

    assert (await again.post("/auth/logout")).status_code == 418
    assert (await again.client.head("/users/me")).status_code == 418
    assert through == ["/auth/logout", "/users/me"]

    below = httpx.AsyncClient(
        transport=httpx.ASGITransport(house.app, root_path="/auth"), base_url=house.client.base_url
    )
    async with below:
        assert (await below.post("/auth/login", json={})).status_code == 418, "a second address of the login"
