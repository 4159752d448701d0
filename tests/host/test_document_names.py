"""A host whose own components are named as ours are: both are in the document, each as it is."""

import re
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.security import APIKeyCookie, HTTPBasic
from pydantic import BaseModel

from propusk import CurrentUser
from tests.host.stand import MakeStand


class Problem(BaseModel):
    """A sum to be solved."""

    sum: int


class UserOut(BaseModel):
    """A user who is out."""

    since: int


class UserPatch(BaseModel):
    """Cloth for a hole."""

    profile: dict[str, int]


class Address(BaseModel):
    """Where a server listens."""

    port: int


def other_address() -> type[BaseModel]:
    class Address(BaseModel):
        """Where somebody lives."""

        city: str

    return Address


class Customer(BaseModel):
    """What a shop knows."""

    address: other_address()  # type: ignore[valid-type]


def school() -> FastAPI:
    app = FastAPI()

    @app.post("/sums")
    async def add(problem: Problem, patch: UserPatch, at: Address) -> UserOut:
        return UserOut(since=problem.sum)

    @app.get("/door")
    async def door(key: Annotated[str, Depends(APIKeyCookie(name="key", scheme_name="cookie"))]) -> str:
        return key

    @app.get("/gate")
    async def gate(key: Annotated[Any, Depends(HTTPBasic(scheme_name="login"))], user: CurrentUser) -> str:
        return user.email

    return app


def dangling(document: dict[str, Any]) -> set[str]:
    """What is referred to and not there."""
    found = set()
    for kind, name in re.findall(r"'#/components/(\w+)/([^']+)'", str(document)):
        if name not in document["components"].get(kind, {}):
            found.add(name)
    for item in document["paths"].values():
        for operation in item.values():
            for way in operation.get("security", []):
                found |= way.keys() - document["components"]["securitySchemes"].keys()
    return found


@pytest.mark.parametrize("routes", [None, ["/auth/login", "/users/me"], ["/auth/log*"], ()])
async def test_names_of_the_host_mean_in_its_document_what_they_mean_to_it(make_stand: MakeStand, routes: Any) -> None:
    plain = school().openapi()
    stand = await make_stand(school(), user_fields=Customer, routes=routes)
    document = (await stand.client.get("/openapi.json")).json()
    schemas, schemes = document["components"]["schemas"], document["components"]["securitySchemes"]

    assert dangling(document) == set()
    shown = {model["description"]: name for name, model in schemas.items() if "description" in model}
    for model in (Problem, UserOut, UserPatch, Address):
        name = shown[str(model.__doc__)]
        assert schemas[name] == plain["components"]["schemas"][model.__name__]
        assert f"'#/components/schemas/{name}'" in str([document["paths"]["/sums"], schemas["Body_add_sums_post"]])
    assert schemes["cookie"] == {"type": "apiKey", "in": "cookie", "name": "key"}
    assert schemes["login"] == {"type": "http", "scheme": "basic"}
    assert document["paths"]["/door"]["get"]["security"] == [{"cookie": []}]
    ours: list[dict[str, Any]] = [{"propusk_login": []}] if routes != () else []
    assert [w for w in document["paths"]["/gate"]["get"]["security"] if "bearer" not in w] == [
        {"login": []},
        *ours,
        {"propusk_cookie": []},
    ]


async def test_our_operations_refer_to_our_components(make_stand: MakeStand) -> None:
    stand = await make_stand(school(), user_fields=Customer)
    document = (await stand.client.get("/openapi.json")).json()
    schemas, me = document["components"]["schemas"], document["paths"]["/users/me"]

    for operation in me.values():
        (problem,) = operation["responses"]["401"]["content"].values()
        assert problem["schema"] == {"$ref": "#/components/schemas/PropuskProblem"}
    assert "RFC 9457" in schemas["PropuskProblem"]["description"]
    for method in ("get", "patch"):
        name = me[method]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert schemas[name]["description"] == "A user."
        assert schemas[name]["properties"]["profile"] == {"$ref": "#/components/schemas/PropuskCustomer"}
    assert schemas["PropuskCustomer"]["properties"]["address"] == {"$ref": "#/components/schemas/PropuskAddress"}
    assert schemas["PropuskAddress"]["description"] == "Where somebody lives."
    assert {"propusk_login": []} in me["get"]["security"]
    assert document["paths"]["/auth/logout"]["post"]["security"][:3] == me["get"]["security"]
