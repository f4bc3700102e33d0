"""The border to HTTP: who calls, which parts answer, and how errors look."""

import hmac
import logging
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.groups import Groups
from jupyter_mlplat.access.identity import HubIdentities
from jupyter_mlplat.access.permissions import HiddenResource, Refused
from jupyter_mlplat.access.sessions import SAFE_METHODS, TICKET, Session, Sessions
from jupyter_mlplat.audit import store as audit
from jupyter_mlplat.body_limit import BodyLimit
from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.core.models import Problem
from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.core.text import describe
from jupyter_mlplat.db.engine import Database
from jupyter_mlplat.errors import InvalidInput, MlplatError, NotAuthenticated, TooLarge
from jupyter_mlplat.events.broker import Broker
from jupyter_mlplat.flavors.service import FlavorService
from jupyter_mlplat.images.service import ImageService
from jupyter_mlplat.instances.service import InstanceService
from jupyter_mlplat.jobs.service import JobService
from jupyter_mlplat.mounts.service import MountService
from jupyter_mlplat.ssh.admission import Admission
from jupyter_mlplat.ssh.service import SshService
from jupyter_mlplat.storage.access import StorageAccess
from jupyter_mlplat.storage.endpoints import EndpointService
from jupyter_mlplat.storage.service import StorageService

log = logging.getLogger(__name__)

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words}
    for status, words in {
        400: "The request cannot be read",
        401: "Nobody is signed in",
        403: "Not allowed from here",
        404: "Not there, or private to somebody else",
        409: "The state does not admit it now",
        413: "Too large",
        422: "The input cannot be meant",
        429: "The quota is used up",
        503: "A part of the platform does not answer",
        507: "The disk is full",
    }.items()
}
"""The error answers of every route."""

CODES = {400: InvalidInput.code, 413: TooLarge.code}
"""Of the errors that the web framework finds; of its others the number says all."""

HTTP_WORDS = {
    400: "The body of the request cannot be read: it must be JSON in UTF-8.",
    404: "There is nothing at this address. The API is described in openapi.json.",
    405: "This cannot be done here. The API is described in openapi.json.",
}
"""In place of what the web framework says."""


@dataclass(frozen=True)
class Services:
    """The parts that routes call. Built once, by `jupyter_mlplat.app`."""

    settings: Settings
    database: Database
    broker: Broker
    identities: HubIdentities
    groups: Groups
    sessions: Sessions
    flavors: FlavorService
    instances: InstanceService
    images: ImageService
    jobs: JobService
    storage: StorageService
    endpoints: EndpointService
    access: StorageAccess
    mounts: MountService
    ssh: SshService
    admission: Admission | None = None
    """None where there is no SSH gateway."""


def get_parts(request: Request) -> Services:
    parts: Services = request.app.state.parts
    return parts


Parts = Annotated[Services, Depends(get_parts)]


async def get_caller(request: Request, parts: Parts) -> Actor:
    """Who calls: by a Hub token, or by the console's session cookie together with what only its pages know."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer") and token:
        identity = await parts.identities.of_token(token.strip())
        user, instance_id = identity.user, identity.instance_id
    elif (
        not scheme and (session := parts.sessions.read(request)) and _is_from_console(request, parts.sessions, session)
    ):
        user, instance_id = session.user, None
    else:
        raise NotAuthenticated("Say who you are: send `Authorization: token …`, or sign in to the console.")
    actor = Actor(
        user=user,
        admin=parts.settings.is_admin(user) and instance_id is None,
        instance_id=instance_id,
        source=_source(request),
        request_id=request.state.request_id,
    )
    request.state.actor = actor
    return actor


Caller = Annotated[Actor, Depends(get_caller)]


def _is_from_console(request: Request, sessions: Sessions, session: Session) -> bool:
    """Whether a page is opened, or one of the console's pages asks. Servers of users share its origin, so the browser
    sends the cookie for scripts in a notebook too: these must not read what the person may."""
    if getattr(request.state, "opens_page", False) or sessions.confirms(session, request):
        return True
    ticket = request.query_params.get(TICKET, "")
    return request.method in SAFE_METHODS and sessions.admits(session, request.scope["path"], ticket)


async def hub_only(request: Request, parts: Parts) -> None:
    """Let only the Hub pass, by the secret that it shares with the platform."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    expected = parts.settings.hub_secret.get_secret_value()
    if scheme != "hub" or not expected or not hmac.compare_digest(secret.encode(), expected.encode()):
        raise NotAuthenticated("Only the Hub may ask this.")


def _source(request: Request) -> str:
    """The client's address, as the proxy saw it (the proxy appends it last) or as the socket says."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return forwarded.rpartition(",")[2].strip() or (request.client.host if request.client else "")


class RequestId:
    """Gives each request an id, which the answer carries, and answers where the platform fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = new_id("q")
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            log.exception("%s %s", request_id, scope["path"], exc_info=error)
            if begun:
                raise
            # raised further, it would cut off the connection, which the proxy uses for others too
            words = "The platform failed; its log says more under this request id."
            await _problem(Request(scope), 500, MlplatError.code, words)(scope, receive, sent)


def install_errors(app: FastAPI) -> None:
    """One body for every error, one request id for every request."""
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestId)

    @app.exception_handler(MlplatError)
    async def on_platform_error(request: Request, error: MlplatError) -> JSONResponse:
        if isinstance(error, (HiddenResource, Refused)):
            await _audit_refusal(get_parts(request), error)
        if error.status >= 500:
            log.error("%s %s: %s", request.state.request_id, request.url.path, error)
        return _problem(request, error.status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _problem(request, 422, InvalidInput.code, describe(error.errors()))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        code = CODES.get(error.status_code, f"MLPLAT.HTTP_{error.status_code}")
        words = HTTP_WORDS.get(error.status_code, str(error.detail))
        return _problem(request, error.status_code, code, words, error.headers)


def _problem(request: Request, status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    request_id = getattr(request.state, "request_id", "")
    body = Problem(error_code=code, error_msg=message, request_id=request_id)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


async def _audit_refusal(parts: Services, error: HiddenResource | Refused) -> None:
    refusal = error.refusal
    async with parts.database.transaction() as session:
        audit.record(
            session,
            refusal.actor,
            refusal.action,
            resource_id=refusal.resource_id,
            owner=refusal.owner,
            result="refused",
            detail=error.message,
        )
