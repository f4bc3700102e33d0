"""Styles, scripts and pictures of the pages. Their address changes with them, so browsers may keep them."""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER = Path(str(files("jupyter_mlplat.console").joinpath("static")))
YEAR = 365 * 24 * 3600

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=FOLDER)


def _digest() -> str:
    content = sha256()
    for file in sorted(FOLDER.iterdir()):
        content.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:16]


VERSION = _digest()
"""What the files are now: a part of their address."""


@router.get("/static/{version}/{path:path}")
async def static(request: Request, version: str, path: str) -> Response:
    """One file; to be kept for a year under this version's address, not at all under another's."""
    response = await _files.get_response(path, request.scope)
    keep = f"public, max-age={YEAR}, immutable" if version == VERSION and response.status_code < 400 else "no-store"
    response.headers.update({"Cache-Control": keep, "X-Content-Type-Options": "nosniff"})
    return response
