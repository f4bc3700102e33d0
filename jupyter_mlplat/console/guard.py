"""What all pages of the console promise: errors in words, headers that keep other pages out.

Servers of users share the console's origin, so a script in a notebook could fetch a page of the console and take the
CSRF token from it. Therefore a page is given only to a navigation of a whole window (the browser says so in its
Sec-Fetch headers), or to a script that knows the token already; and no page shares its window's handle with others.
"""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from jupyter_mlplat.console.render import nonce_of, page, prefix_of
from jupyter_mlplat.console.visitors import is_navigation, is_own_script
from jupyter_mlplat.core.models import Problem
from jupyter_mlplat.errors import NotAllowed, NotAuthenticated
from jupyter_mlplat.http import get_parts

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose answers are pages."""

    def get_route_handler(self) -> Answer:
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            response = await _answer(request, answer)
            response.headers.update(page_headers(nonce_of(request)))
            return response

        return guarded


async def _answer(request: Request, answer: Answer) -> Response:
    try:
        _admit(request)
        request.state.opens_page = True
        return await answer(request)
    except NotAuthenticated as error:
        return sign_in(request) if is_navigation(request) else await problem_page(request, error)
    except Exception as error:
        return await problem_page(request, error)


def _admit(request: Request) -> None:
    if is_navigation(request) or is_own_script(request):
        return
    if get_parts(request).sessions.read(request) is None:
        raise NotAuthenticated("Your session has ended. Sign in again.")
    raise NotAllowed("Pages of the console can be opened in a window, not fetched or framed.")


def sign_in(request: Request) -> RedirectResponse:
    """To the login, and back here afterwards."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{prefix_of(request)}login?next={quote(wanted, safe='')}", status_code=303)


async def problem_page(request: Request, error: Exception) -> HTMLResponse:
    """The error as a page. What the platform says of it (and writes down) is the same as over REST."""
    handlers = request.app.exception_handlers
    handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if handler is None:
        raise error
    answer: Response = await handler(request, error)
    problem = Problem.model_validate_json(bytes(answer.body))
    return page(request, "problem.html", answer.status_code, problem=problem)


def page_headers(nonce: str) -> dict[str, str]:
    """Headers that let a page load only its own scripts and styles, and nobody frame, keep or look into it."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "Cookie, Accept-Language",
    }
