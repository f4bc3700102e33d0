"""Pages of templates: with the caller, the language and what every page needs."""

import secrets
from functools import partial
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.sessions import TICKET
from jupyter_mlplat.console import formats, states
from jupyter_mlplat.console.statics import VERSION
from jupyter_mlplat.console.visitors import csrf_for
from jupyter_mlplat.console.words import Words, choose_language, words_of
from jupyter_mlplat.http import get_parts

THEMES = frozenset({"light", "dark"})
THEME_COOKIE = "mlplat-theme"

SPOKEN_BY_SCRIPTS = (
    "Copied", "Sign in again", "Your session has ended.", "The platform does not answer.", "Trying again…", "Details",
    "Close", "just now", "{d} d {h} h", "{h} h {m} m", "{m} m {s} s", "{s} s", "Nothing matches.",
    "The log is long: only its end is shown.", "The log ends here.", "No output yet.",
)  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("jupyter_mlplat.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "size": formats.size,
        "memory": formats.memory,
        "middle": formats.middle,
        "metric": formats.metric,
        "in_image": formats.in_image,
    }
    environment.globals |= {"states": states}
    return environment


ENVIRONMENT = _environment()


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The template with `values` as an answer; whoever is signed in is known to it."""
    words = words_for(request)
    shared = {
        "t": words,
        "duration": partial(formats.duration, words=words),
        "spoken": {text: words(text) for text in SPOKEN_BY_SCRIPTS},
        "base": prefix_of(request),
        "statics": f"{prefix_of(request)}static/{VERSION}/",
        "nonce": nonce_of(request),
        "theme": _theme(request),
        "csrf": csrf_for(request),
        "ticketed": partial(ticketed, request),
        "actor": _actor(request),
        "status": status,
        "path": request.url.path.removeprefix(prefix_of(request)),
    }
    return HTMLResponse(ENVIRONMENT.get_template(template).render(shared | values), status_code=status)


def ticketed(request: Request, path: str) -> str:
    """The address of a path of the REST API for a link or an event stream, which cannot send the CSRF token."""
    csrf = csrf_for(request)
    ticket = f"?{TICKET}={get_parts(request).sessions.ticket(csrf, path)}" if csrf else ""
    return quote(path) + ticket


def words_for(request: Request) -> Words:
    """The words of the language that the browser asks for."""
    return words_of(choose_language(request.headers.get("Accept-Language", "")))


def prefix_of(request: Request) -> str:
    """The path of the console, with a slash at its end."""
    return get_parts(request).settings.service_prefix.rstrip("/") + "/"


def hub_of(request: Request) -> str:
    """The path of the Hub's own pages below the same proxy, with a slash at its end."""
    return prefix_of(request).removesuffix("services/mlplat/") + "hub/"


def nonce_of(request: Request) -> str:
    """The random word that lets this page's own scripts and styles load, and nothing else."""
    if not hasattr(request.state, "nonce"):
        request.state.nonce = secrets.token_urlsafe(16)
    nonce: str = request.state.nonce
    return nonce


def _theme(request: Request) -> str:
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def _actor(request: Request) -> Actor | None:
    actor: Actor | None = getattr(request.state, "actor", None)
    return actor
