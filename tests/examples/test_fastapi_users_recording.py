"""Clients of FastAPI Users get from us what they got there: its recorded answers, compared with ours one by one."""

import asyncio
import json
import re
from typing import Any

import pytest

from propusk.domain import create_user_with_password
from propusk.mail.mailbox import Mailbox
from tests.contrib.guide import blocks
from tests.contrib.player import Player
from tests.contrib.record import RECORDING
from tests.examples.conftest import Example, StartExample

DATABASES = ("sqlite", "postgresql")
RECORDED = json.loads(RECORDING.read_text())
DEAD = {"status": 401, "headers": {"content-type": "application/json"}, "body": {"detail": "Unauthorized"}}

DIFFERENCES: dict[str, tuple[str, dict[str, Any]]] = {
    "who am I, after logging out": ("logout kills the token", DEAD),
    "logging out again": ("logout kills the token", DEAD),
    "who am I, elsewhere, with another password": ("a changed password ends the other sessions", DEAD),
    "who am I, after a reset": ("a changed password ends the other sessions", DEAD),
    "who am I, with the new password": ("who read the mail of an address has verified it", {"is_verified": True}),
    "changing one's address": ("the old one until the new one is confirmed", {"email": "moving@example.com"}),
    "who am I, with another address": ("the old one until the new one is confirmed", {"email": "moving@example.com"}),
}
"""What differs on purpose, by the name of the request: why, and our answer, or what differs in its body. Everywhere:
what a 422 repeats has no password in it (`repeated`).
"""


def repeated(fault: dict[str, Any]) -> dict[str, Any]:
    """A fault of theirs, without its input where this is the body, or some of it, or a password."""
    whole = isinstance(fault.get("input"), dict | list) or fault["loc"] == ["body"]
    return {key: fault[key] for key in fault if key != "input" or not (whole or "password" in fault["loc"])}


def expected(theirs: dict[str, Any]) -> dict[str, Any]:
    """What we are to answer, where they answered so."""
    body = theirs["body"]
    if theirs["status"] == 422:
        theirs = theirs | {"body": body | {"detail": [repeated(fault) for fault in body["detail"]]}}
    _, ours = DIFFERENCES.get(theirs["name"], ("", {}))
    return theirs | ours if "status" in ours else theirs | ({"body": body | ours} if ours else {})


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without the sentence that says what is wrong with an e-mail address: ours are judged by our rules."""
    detail = answer["body"].get("detail") if isinstance(answer["body"], dict) else None
    for fault in detail if isinstance(detail, list) else []:
        if fault["type"] == "value_error":
            fault["msg"] = re.sub(r"(not a valid email address: ).*", r"\1…", fault["msg"])
            fault["ctx"] = {"reason": "…"}
    return answer


def acts(example: Example) -> dict[str, Any]:
    """What steps ask for beside requests: a superuser, and the token of a link that was mailed."""

    async def superuser(email: str, password: str) -> None:
        async with example.auth.transaction() as ctx:
            await create_user_with_password(
                ctx, actor=None, email=email, password=password, is_superuser=True, is_verified=True
            )

    async def mail_token(kind: str, email: str) -> str:
        mailbox = example.auth.mailer
        assert isinstance(mailbox, Mailbox)
        page = {"verify": "verify-email", "reset": "reset-password"}[kind]
        async with asyncio.timeout(60):
            while True:
                for mail in await mailbox.newest():
                    if mail.to == email and (link := re.search(rf"/{page}\?token=(\S+)", mail.text)):
                        return link[1]
                await asyncio.sleep(0.05)

    return {"superuser": superuser, "mail_token": mail_token}


@pytest.mark.parametrize(
    ("name", "settings"), [("usual", {}), ("verified", {"PROPUSK_REQUIRE_VERIFIED_EMAIL": "true"})]
)
async def test_every_answer_is_the_recorded_one(
    start_example: StartExample, name: str, settings: dict[str, str]
) -> None:
    example = await start_example("fastapi_users_app", **settings)
    ours = await Player(example.client, acts(example)).play(RECORDED[name]["steps"])
    pairs = [(expected(theirs), answer) for theirs, answer in zip(RECORDED[name]["answers"], ours, strict=True)]
    assert len(pairs) > 10
    assert [(right, answer) for right, answer in pairs if told(right) != told(answer)] == []


def test_every_difference_is_one() -> None:
    """What came to be the same is not listed any more."""
    theirs = {answer["name"]: answer for name in ("usual", "verified") for answer in RECORDED[name]["answers"]}
    assert [name for name in DIFFERENCES if theirs[name] == expected(theirs[name])] == []


def test_the_recorded_application_is_the_one_of_the_guide() -> None:
    assert RECORDED["application"] == blocks("had"), "record anew: python -m tests.contrib.record"


async def test_generated_clients_find_every_operation_by_its_name(start_example: StartExample) -> None:
    example = await start_example("fastapi_users_app")
    ours = (await example.client.get("/openapi.json")).json()

    def operations(document: dict[str, Any]) -> dict[tuple[str, str], tuple[str, list[str], bool]]:
        return {
            (method, path): (operation["operationId"], operation["tags"], "security" in operation)
            for path, item in document["paths"].items()
            if path.startswith(("/auth/", "/users/"))
            for method, operation in item.items()
        }

    assert operations(ours) == operations(RECORDED["openapi"])
    assert "OAuth2PasswordBearer" in ours["components"]["securitySchemes"]
