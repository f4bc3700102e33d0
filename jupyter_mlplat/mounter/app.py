"""The mounter's HTTP server: POSTs of JSON, signed and answered with a proof; `GET /healthz`."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from jupyter_mlplat.agent.border import body_of, refusal
from jupyter_mlplat.agent.signing import Asked as Signed
from jupyter_mlplat.agent.signing import Verifier, prove
from jupyter_mlplat.errors import InvalidInput, MlplatError
from jupyter_mlplat.mounter.models import (
    MOUNT_PATH,
    PROOF,
    RENEW_PATH,
    SEEN_PATH,
    UNMOUNT_PATH,
    AllSeen,
    Asked,
    MountOrder,
)
from jupyter_mlplat.mounter.mounts import Mounts
from jupyter_mlplat.mounter.settings import MounterSettings

log = logging.getLogger(__name__)

Work = Callable[[bytes], Awaitable[BaseModel | None]]


class Mounter:
    """Lets the platform's requests in and does what they ask."""

    def __init__(self, settings: MounterSettings, mounts: Mounts) -> None:
        self._settings = settings
        self._mounts = mounts
        self._secret = settings.secret.get_secret_value()
        self._verifier = Verifier(self._secret)

    async def mount(self, body: bytes) -> None:
        asked = Asked.model_validate_json(body)
        await self._mounts.mount(asked.order, asked.place)

    async def renew(self, body: bytes) -> None:
        asked = Asked.model_validate_json(body)
        await self._mounts.renew(asked.order, asked.place)

    async def unmount(self, body: bytes) -> None:
        await self._mounts.unmount(MountOrder.model_validate_json(body))

    async def seen(self, body: bytes) -> AllSeen:
        return AllSeen(mounts=tuple(await self._mounts.seen()))

    async def answer(self, request: Request, work: Work) -> Response:
        """What is asked, done; refusals are JSON with the code of an error."""
        try:
            body = await body_of(request, "mounter")
            signed = Signed("POST", request.url.path, body, self._settings.node)
            nonce = self._verifier.check(request.headers.get("Authorization", ""), signed)
            found = await work(body)
        except ValidationError as error:
            return refusal(InvalidInput(f"The request to the mounter is wrong: {error.errors()[0]['msg']}."))
        except MlplatError as error:
            return refusal(error)
        content = found.model_dump_json().encode() if found else b"{}"
        return Response(content, headers={PROOF: prove(self._secret, nonce, content)}, media_type="application/json")


def make_app(settings: MounterSettings) -> Starlette:
    """The application. What it has mounted ends with it; what is not sent then goes on with the next one."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        mounts = Mounts(settings.layout)
        await mounts.clean()
        app.state.mounter = Mounter(settings, mounts)
        yield
        # else pods would be kept by mounts that nobody serves
        await mounts.end()

    def route(path: str, name: str) -> Route:
        async def endpoint(request: Request) -> Response:
            mounter: Mounter = request.app.state.mounter
            return await mounter.answer(request, getattr(mounter, name))

        return Route(path, endpoint, methods=["POST"])

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        route(MOUNT_PATH, "mount"),
        route(RENEW_PATH, "renew"),
        route(UNMOUNT_PATH, "unmount"),
        route(SEEN_PATH, "seen"),
        Route("/healthz", health),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
