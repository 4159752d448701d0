"""Pydantic's faults become stable words, and never say what was submitted."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from propusk.faults import _BUILT_IN, _EXACT, MAX_ERRORS
from propusk.web.faults import refusal_of

CANARY = "zq7canary"


class Colour(StrEnum):
    RED = "red"


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    email: str


def refuse_as(kind: str, template: str, context: dict[str, Any] | None = None) -> AfterValidator:
    def refuse(value: str) -> str:
        raise PydanticCustomError(kind, template, context)

    return AfterValidator(refuse)


def refuse_loudly(value: str) -> str:
    raise ValueError(f"{value} will not do")


@pytest.mark.parametrize(
    ("kind", "value", "field", "code"),
    [
        (Model, {}, "email", "missing"),
        (Model, {"email": "a", "is_superuser": True}, "is_superuser", "extra_forbidden"),
        (Model, {"email": "a", f"{CANARY} ключ": 1}, "?", "extra_forbidden"),
        (Model, {"email": "a", "x" * 65: 1}, "?", "extra_forbidden"),
        (Model, [CANARY], "body", "wrong_type"),
        (Model, {"email": 5}, "email", "wrong_type"),
        (dict[str, list[int]], {"a": [1, "zq7canary"]}, "a.1", "wrong_type"),
        (Annotated[str, Field(min_length=99)], CANARY, "body", "too_short"),
        (Annotated[str, Field(max_length=2)], CANARY, "body", "too_long"),
        (Annotated[list[str], Field(max_length=1)], [CANARY, CANARY], "body", "too_long"),
        (Annotated[int, Field(ge=1)], 0, "body", "out_of_range"),
        (Annotated[int, Field(lt=1)], 1, "body", "out_of_range"),
        (Annotated[str, Field(pattern="^a$")], CANARY, "body", "invalid"),
        (bool, CANARY, "body", "wrong_type"),
        (int, CANARY, "body", "wrong_type"),
        (int, 1.5, "body", "wrong_type"),
        (UUID, CANARY, "body", "not_a_uuid"),
        (datetime, CANARY, "body", "not_a_time"),
        (AwareDatetime, "2026-01-01T00:00:00", "body", "not_a_time"),
        (Literal["bearer", "cookie"], CANARY, "body", "not_a_choice"),
        (Colour, CANARY, "body", "not_a_choice"),
        (Annotated[str, AfterValidator(refuse_loudly)], CANARY, "body", "invalid"),
        (Annotated[str, refuse_as("not_an_email", "This is no e-mail address.")], CANARY, "body", "not_an_email"),
        (Annotated[str, refuse_as("bad", "{value} is bad", {"value": CANARY})], CANARY, "body", "bad"),
        (Annotated[str, refuse_as("No Word\r\n", "No.")], CANARY, "body", "invalid"),
    ],
)
def test_a_fault_has_a_field_a_stable_word_and_a_sentence_without_the_value(
    kind: Any, value: object, field: str, code: str
) -> None:
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(kind).validate_python(value)
    [error] = refusal_of(failed.value).errors  # type: ignore[union-attr]
    assert (error.field, error.code) == (field, code)
    assert error.message.endswith(".")
    assert "{" not in error.message
    assert CANARY not in error.message + error.field


def test_a_sentence_says_what_is_needed() -> None:
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(Annotated[str, Field(min_length=8)]).validate_python("short")
    [error] = refusal_of(failed.value).errors  # type: ignore[union-attr]
    assert error.message == "At least 8 characters are needed."


def test_a_validators_own_sentence_is_passed_on() -> None:
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(
            Annotated[str, refuse_as("weak_password", "This password is among the known-bad.")]
        ).validate_python("a")
    [error] = refusal_of(failed.value).errors  # type: ignore[union-attr]
    assert (error.code, error.message) == ("weak_password", "This password is among the known-bad.")


def test_t48_ten_thousand_unknown_fields_get_a_short_answer() -> None:
    with pytest.raises(ValidationError) as failed:
        Model.model_validate({"email": "a", **{f"f{n}": n for n in range(10_000)}})
    assert len(refusal_of(failed.value).errors) == MAX_ERRORS  # type: ignore[union-attr]


def test_every_fault_that_we_name_is_one_that_pydantic_has() -> None:
    assert set(_EXACT) <= _BUILT_IN
