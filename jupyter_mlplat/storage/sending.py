"""Files as answers: whole or one range, and never as something that a browser would run."""

import re
from email.utils import format_datetime
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from jupyter_mlplat.storage.opened import OpenedFile

_RANGE = re.compile(r"bytes=(\d{0,20})-(\d{0,20})")

BINARY = "application/octet-stream"
UNTRUSTED = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
"""User servers and the console share an origin, so what users wrote must not run in it."""


def attachment(name: str) -> dict[str, str]:
    """The header with which a browser saves an answer under a name."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


def send(file: OpenedFile, range_header: str | None, *, head: bool = False) -> Response:
    """The file, or the range of it that is asked for; only the headers for a HEAD request."""
    try:
        start, end = read_range(range_header, file.size)
    except HTTPException:
        file.close()
        raise
    headers = UNTRUSTED | attachment(file.name) | {
        "Content-Length": str(end - start),
        "Last-Modified": format_datetime(file.modified_at, usegmt=True),
        "Accept-Ranges": "bytes",
    }  # fmt: skip
    partial = end - start < file.size
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    if head:
        file.close()
        return Response(headers=headers, media_type=BINARY)
    return StreamingResponse(file.pieces(start, end), 206 if partial else 200, headers, media_type=BINARY)


def read_range(header: str | None, size: int) -> tuple[int, int]:
    """From which byte up to which; the whole for no range, several, or one that cannot be read. 416 beyond the end."""
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or match[1] == match[2] == "":
        return 0, size
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return 0, size
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        words = f"There are {size} bytes; the range begins after them."
        raise HTTPException(416, words, {"Content-Range": f"bytes */{size}"})
    return start, end
