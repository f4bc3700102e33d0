"""Who asks for a page: a whole window, a script of the console, or a script of somebody else's."""

from fastapi import Request

from jupyter_mlplat.http import get_parts


def is_navigation(request: Request) -> bool:
    """Whether a whole window goes to the page. Browsers without Sec-Fetch headers (plain http) are believed."""
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    target = request.headers.get("Sec-Fetch-Dest", "document")
    return mode == "navigate" and target == "document"


def is_own_script(request: Request) -> bool:
    """Whether a script of a page of the console asks: it knows the session's CSRF token."""
    sessions = get_parts(request).sessions
    session = sessions.read(request)
    return session is not None and sessions.confirms(session, request)


def csrf_for(request: Request) -> str:
    """The CSRF token of the visitor's session; empty without one, and for scripts that do not know it."""
    session = get_parts(request).sessions.read(request)
    return session.csrf if session and (is_navigation(request) or is_own_script(request)) else ""
