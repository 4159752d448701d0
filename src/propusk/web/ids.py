"""Ids in paths: a canonical UUID, or there is nothing at that address."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from propusk.crypto.secrets import parse_uuid
from propusk.errors import NotFound

_EXAMPLE = {"format": "uuid"}


async def path_id(id: Annotated[str, Path(json_schema_extra=_EXAMPLE)]) -> UUID:  # noqa: A002 (the contract names it so)
    """Dependency: the id in the path.

    Raises:
        NotFound: it is no UUID, or spelled in another way than ours.
    """
    found = parse_uuid(id)
    if found is None:
        raise NotFound
    return found


PathId = Annotated[UUID, Depends(path_id)]
