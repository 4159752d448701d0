"""Checks of our own for Schemathesis, beside all that it brings."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

# Before a route is found there is none whose document could name these.
ANYWHERE = {404: ["not_found"], 405: ["method_not_allowed"]}


@schemathesis.check
def refusals_are_documented_problems(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every refusal is a problem document with a code that the operation lists for its status."""
    if response.status_code < 400:
        return
    found = response.headers["content-type"]
    assert found == ["application/problem+json"], found
    document = response.json()
    entry = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    examples = entry.get("content", {}).get("application/problem+json", {}).get("examples", {})
    assert document["code"] in [*examples, *ANYWHERE.get(response.status_code, [])], document
    assert document["status"] == response.status_code
    assert document["type"].endswith(f"/problems/{document['code']}")
    assert ("errors" in document) == (response.status_code == 422)


@schemathesis.check
def every_answer_has_a_name_and_nothing_to_store(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """X-Request-ID everywhere; Cache-Control on what is personal; no secret comes back."""
    assert len(response.headers["x-request-id"]) == 1
    if case.operation.path.startswith(("/auth", "/users")):
        assert response.headers.get("cache-control") == ["no-store"], response.headers
    assert "zq7canary" not in response.text
