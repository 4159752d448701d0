"""What FastAPI and pydantic refuse, as a refusal of ours."""

from collections.abc import Sequence
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from propusk.errors import InvalidInput, NotFound
from propusk.faults import MAX_ERRORS, name_faults

M = TypeVar("M", bound=BaseModel)
_SOURCES = ("body", "query", "path", "header", "cookie")


def refusal_of(error: RequestValidationError | ValidationError) -> InvalidInput | NotFound:
    """The refusal that stands for a failed validation.

    Args:
        error: FastAPI's, for the parts of a request, or pydantic's, for a model that a route validates itself.
    Returns:
        NotFound when a part of the path is at fault, else InvalidInput with at most `MAX_ERRORS` faults.
    """
    if isinstance(error, ValidationError):
        return InvalidInput(name_faults(error.errors(include_url=False, include_input=False)))
    faults = error.errors()
    if any(fault["loc"][:1] == ("path",) for fault in faults):
        return NotFound()
    return InvalidInput(name_faults([{**fault, "loc": _without_source(fault["loc"])} for fault in faults[:MAX_ERRORS]]))


def validated(model: type[M], fields: object) -> M:
    """The model of what was sent, for a route that reads its body itself.

    Raises:
        InvalidInput
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        refusal = refusal_of(error)
    # Outside the except: pydantic's error holds what was submitted, secrets included, and would go along as context.
    raise refusal


def _without_source(loc: Sequence[str | int]) -> Sequence[str | int]:
    return loc[1:] if loc and loc[0] in _SOURCES else loc
