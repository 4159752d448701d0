"""The style and the script of the hosted pages. Both are ours: pages load nothing from elsewhere."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from propusk.errors import NotFound

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parents[1] / "templates"
_TYPES = {"page.css": "text/css", "page.js": "text/javascript"}


@router.get("/pages/{name}")
async def get_page_file(name: str) -> Response:
    """A file that pages load."""
    if name not in _TYPES:
        raise NotFound
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response((_FOLDER / name).read_bytes(), media_type=_TYPES[name], headers=headers)
