"""The agent's HTTP server: `POST /v1/save` and `POST /v1/preview`, signed; `GET /healthz`."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from jupyter_mlplat.agent.border import body_of, refusal
from jupyter_mlplat.agent.journal import Journal
from jupyter_mlplat.agent.messages import PREVIEW_PATH, SAVE_PATH, Failed, Line, Previewed, Progress, Saved, SaveRequest
from jupyter_mlplat.agent.runtime import Runtime
from jupyter_mlplat.agent.saving import Saver
from jupyter_mlplat.agent.settings import AgentSettings
from jupyter_mlplat.agent.signing import Asked, Verifier, prove
from jupyter_mlplat.errors import InvalidInput, MlplatError, NotAllowed
from jupyter_mlplat.oci.registry import Registry

log = logging.getLogger(__name__)

Answers = AsyncGenerator[Progress | Saved | Previewed, None]


class Agent:
    """Lets requests in and answers them; one save of a container at a time, `settings.saves` in all."""

    def __init__(self, settings: AgentSettings, saver: Saver) -> None:
        self._settings = settings
        self._saver = saver
        self._secret = settings.secret.get_secret_value()
        self._verifier = Verifier(self._secret)
        self._room = asyncio.Semaphore(settings.saves)
        self._containers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def save(self, request: Request) -> Response:
        return await self._answer(request, self._in_turn)

    async def preview(self, request: Request) -> Response:
        return await self._answer(request, self._saver.preview)

    async def _in_turn(self, wanted: SaveRequest) -> Answers:
        async with self._containers[wanted.container_id], self._room, aclosing(self._saver.save(wanted)) as answers:
            async for answer in answers:
                yield answer

    async def _answer(self, request: Request, work: Callable[[SaveRequest], Answers]) -> Response:
        """The answer streams; who hangs up ends the work."""
        try:
            body = await body_of(request, "node agent")
            asked = Asked("POST", request.url.path, body, self._settings.node)
            nonce = self._verifier.check(request.headers.get("Authorization", ""), asked)
            wanted = _parse(body)
            if wanted.namespace != self._settings.namespace:
                raise NotAllowed(f"Containers of the namespace {wanted.namespace} are none of this agent's.")
        except MlplatError as error:
            return refusal(error)
        return StreamingResponse(self._lines(work(wanted), wanted, nonce), media_type="application/x-ndjson")

    async def _lines(self, work: Answers, wanted: SaveRequest, nonce: str) -> AsyncIterator[bytes]:
        try:
            async with aclosing(work) as answers:
                async for answer in answers:
                    yield self._line(answer, nonce)
        except MlplatError as error:
            yield self._line(Failed(code=error.code, message=error.message), nonce)
        except Exception:
            log.exception("the work on %s/%s failed", wanted.namespace, wanted.pod)
            words = f"The node agent on {self._settings.node} failed. Its log says more; try again."
            yield self._line(Failed(code=MlplatError.code, message=words), nonce)

    def _line(self, answer: Progress | Saved | Previewed | Failed, nonce: str) -> bytes:
        last = not isinstance(answer, Progress)
        proof = prove(self._secret, nonce, answer.model_dump_json().encode()) if last else ""
        return Line(answer=answer, proof=proof).model_dump_json().encode() + b"\n"


def make_app(settings: AgentSettings) -> Starlette:
    """The application; its connections to containerd and the registry live as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        runtime = Runtime(settings.socket, settings.snapshots)
        registry = Registry(settings.access)
        journal = Journal(settings.state)
        saver = Saver(runtime, registry, journal, settings.prefix, settings.layers, settings.more_left_out)
        app.state.agent = Agent(settings, saver)
        try:
            yield
        finally:
            await registry.close()
            await runtime.close()

    async def save(request: Request) -> Response:
        agent: Agent = request.app.state.agent
        return await agent.save(request)

    async def preview(request: Request) -> Response:
        agent: Agent = request.app.state.agent
        return await agent.preview(request)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        Route(SAVE_PATH, save, methods=["POST"]),
        Route(PREVIEW_PATH, preview, methods=["POST"]),
        Route("/healthz", health),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _parse(body: bytes) -> SaveRequest:
    try:
        return SaveRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"The request to the node agent is wrong: {place}: {first['msg']}.") from error
