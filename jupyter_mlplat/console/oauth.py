"""Login of the console through the Hub: OAuth with an authorization code, PKCE, and a state in a signed cookie.

Nothing is kept in memory: whichever replica gets the callback can finish a login, also after a restart. The Hub's
token is used once, to learn the user's name, and dropped; the session cookie holds the name alone.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass
from typing import Annotated, Any
from urllib.parse import unquote, urlencode, urlsplit

import httpx
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from itsdangerous import BadData, SignatureExpired

from jupyter_mlplat.access.identity import SERVICE_SCOPES
from jupyter_mlplat.access.sessions import SESSION_COOKIE, SESSION_SECONDS, Sessions
from jupyter_mlplat.console.guard import PageRoute
from jupyter_mlplat.console.render import hub_of, prefix_of
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.errors import BackendFailure, NotAllowed
from jupyter_mlplat.http import Parts

CLIENT_ID = "service-mlplat"
LOGIN_SECONDS = 600
NEXT_LENGTH = 2000
ENTRANCES = ("login", "logout", "oauth_callback")

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Text = Annotated[str, Query(max_length=4000)]


@dataclass(frozen=True)
class Login:
    """A login under way: what the callback must bring, the PKCE verifier, and where to go afterwards."""

    state: str
    verifier: str
    next: str


@router.get("/login")
async def login(request: Request, parts: Parts, next: Text = "") -> Response:
    """Send the browser to the Hub, with a state that only this browser can bring back."""
    started = Login(secrets.token_urlsafe(24), secrets.token_urlsafe(48), next[:NEXT_LENGTH])
    question = {
        "client_id": CLIENT_ID,
        "redirect_uri": _callback_path(request),
        "response_type": "code",
        "state": started.state,
        "code_challenge": _challenge(started.verifier),
        "code_challenge_method": "S256",
    }
    response = RedirectResponse(f"{hub_of(request)}api/oauth2/authorize?{urlencode(question)}", status_code=303)
    value = parts.sessions.signer("login").dumps(asdict(started))
    assert isinstance(value, str)
    _set_cookie(request, response, _login_cookie(started.state), value, _callback_path(request), LOGIN_SECONDS)
    return response


@router.get("/oauth_callback")
async def oauth_callback(
    request: Request, parts: Parts, code: Text = "", state: Text = "", error: Text = ""
) -> Response:
    """Finish a login that this browser began: trade the code for the user's name, make the session."""
    started = read_login(parts.sessions, request.cookies.get(_login_cookie(state), ""), state)
    if error or not code:
        raise NotAllowed("The Hub did not let you in. Sign in again, or ask an administrator whether you may.")
    user = await _ask_who(parts.settings, code, started.verifier, _callback_path(request))
    goal = started.next if is_own_path(started.next, prefix_of(request), user) else prefix_of(request)
    response = RedirectResponse(goal, status_code=303)
    response.delete_cookie(_login_cookie(state), path=_callback_path(request))
    _set_cookie(request, response, SESSION_COOKIE, parts.sessions.make(user), prefix_of(request), SESSION_SECONDS)
    return response


@router.get("/logout")
async def logout(request: Request) -> Response:
    """End the session here, then the login at the Hub."""
    response = RedirectResponse(f"{hub_of(request)}logout", status_code=303)
    response.delete_cookie(SESSION_COOKIE, path=prefix_of(request))
    return response


def read_login(sessions: Sessions, cookie: str, state: str) -> Login:
    """The login that a cookie tells of; NotAllowed unless it was begun here, lately, with this `state`."""
    try:
        started = Login(**sessions.signer("login").loads(cookie, max_age=LOGIN_SECONDS))
    except SignatureExpired:
        raise NotAllowed("Signing in took more than ten minutes. Sign in again.") from None
    except (BadData, TypeError):
        raise NotAllowed("This sign-in was not begun in this browser, or is done already. Sign in again.") from None
    if not secrets.compare_digest(started.state.encode(), state.encode()):
        raise NotAllowed("This answer belongs to another sign-in. Sign in again.")
    return started


def is_own_path(wanted: str, prefix: str, user: str) -> bool:
    """Whether `wanted` is a path of the console, or of the user's own servers, and surely nothing else."""
    try:
        address = urlsplit(wanted)
    except ValueError:
        return False
    path = _decoded(address.path)
    if address.scheme or address.netloc or not wanted.isprintable() or not path.isprintable():
        return False
    if "\\" in path or "//" in path or {".", ".."} & set(path.split("/")):
        return False
    if path.startswith(prefix):
        return path.removeprefix(prefix).strip("/") not in ENTRANCES
    return path.startswith(f"{prefix.removesuffix('services/mlplat/')}user/{user}/")


def _decoded(path: str) -> str:
    """The path with every percent-escape undone, also where escapes were escaped again."""
    for _ in range(5):
        if (plainer := unquote(path)) == path:
            return path
        path = plainer
    return "\\"


async def _ask_who(settings: Settings, code: str, verifier: str, callback: str) -> str:
    """The name of the user who got `code` from the Hub."""
    form = {
        "client_id": CLIENT_ID,
        "client_secret": settings.hub_api_token.get_secret_value(),
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": callback,
    }
    async with httpx.AsyncClient(timeout=10) as client:
        granted = await _answer(client, "POST", f"{settings.hub_api_url}/oauth2/token", data=form)
        bearer = {"Authorization": f"token {granted['access_token']}"}
        return user_in(await _answer(client, "GET", f"{settings.hub_api_url}/user", headers=bearer))


async def _answer(client: httpx.AsyncClient, method: str, url: str, **content: Any) -> dict[str, Any]:
    try:
        answer = await client.request(method, url, **content)
    except httpx.HTTPError as error:
        raise BackendFailure("The Hub does not answer, so nobody can sign in. Try again soon.") from error
    if answer.status_code in (400, 401, 403):
        raise NotAllowed("The Hub does not accept this sign-in; it can be used only once. Sign in again.")
    if answer.is_error:
        raise BackendFailure("The Hub cannot sign you in just now. Try again soon.")
    return dict(answer.json())


def user_in(model: dict[str, Any]) -> str:
    """The user's name in the Hub's answer to `GET /user`; NotAllowed for who may not use the platform."""
    if model.get("kind") != "user" or not SERVICE_SCOPES & set(model.get("scopes", [])):
        raise NotAllowed("You may not use this platform. Ask an administrator to let you.")
    return str(model["name"])


def _callback_path(request: Request) -> str:
    return f"{prefix_of(request)}oauth_callback"


def _login_cookie(state: str) -> str:
    """A cookie of its own for each login, so that several windows can sign in at once."""
    return f"mlplat-login-{hashlib.sha256(state.encode()).hexdigest()[:12]}"


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _set_cookie(request: Request, response: Response, name: str, value: str, path: str, seconds: int) -> None:
    """A cookie that scripts cannot read, that other sites' forms do not carry, and that goes only to `path`."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").split(",")[0].strip()
    secure = (forwarded or request.url.scheme) == "https"
    response.set_cookie(name, value, max_age=seconds, path=path, secure=secure, httponly=True, samesite="lax")
