"""What a 422 repeats of a request."""

import pytest

from tests.contrib.test_fastapi_users import log_in, register, stand_of
from tests.host.stand import MakeStand

SECRET = "zq7canary-secret"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", f'{{"password": "{SECRET}"}}'),
        ("application/json", f'{{"email": "ada@example.com", "password": ["{SECRET}"]}}'),
        ("application/json", f'{{"email": {{"password": "{SECRET}"}}, "password": "x"}}'),
        ("application/json", f'[{{"password": "{SECRET}"}}]'),
        ("application/json", f'"{SECRET}"'),
        ("text/plain", f'{{"email": "ada@example.com", "password": "{SECRET}"}}'),
        ("application/json", f'{{"password": "{SECRET}", '),
    ],
)
async def test_a_422_repeats_no_password(make_stand: MakeStand, content_type: str, body: str) -> None:
    stand = await stand_of(make_stand)
    await register(stand)
    bearer = await log_in(stand)

    for method, path in (("POST", "/auth/register"), ("POST", "/auth/reset-password"), ("PATCH", "/users/me")):
        answer = await stand.client.request(method, path, content=body, headers=bearer | {"content-type": content_type})
        assert SECRET not in answer.text, path
        assert answer.status_code == 422 or (method == "PATCH" and answer.status_code == 200), path
    for form in ({"password": SECRET}, {"username": "ada", "password": SECRET, "grant_type": "other"}):
        answer = await stand.client.post("/auth/jwt/login", data=form)
        assert (answer.status_code, SECRET in answer.text) == (422, False)


async def test_a_422_repeats_a_field_that_is_no_password(make_stand: MakeStand) -> None:
    stand = await stand_of(make_stand)
    answer = await stand.client.post("/auth/register", json={"email": "ada", "password": 5})
    faults = {fault["loc"][-1]: fault.get("input") for fault in answer.json()["detail"]}
    assert (answer.status_code, faults) == (422, {"email": "ada", "password": None})
