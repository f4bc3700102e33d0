"""Asks the node agents, and believes only answers that they have proved."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from hmac import compare_digest

import httpx
from pydantic import ValidationError

from jupyter_mlplat.agent.messages import PREVIEW_PATH, SAVE_PATH, Failed, Line, Previewed, Progress, Saved, SaveRequest
from jupyter_mlplat.agent.signing import Asked, prove, sign
from jupyter_mlplat.backends.kubernetes.client import Cluster, Json, path_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import BackendFailure, MlplatError, NotAuthenticated

COMPONENT = "agent"
_SILENCE = 60.0
"""Seconds after which an agent that says nothing is given up; it says something every five."""

_AGAIN = 2
"""How often a request is made: an agent that has just been started finds one of the same second stale."""


class Agents:
    """The agents of all nodes: pods of `settings.agent_namespace`."""

    def __init__(self, cluster: Cluster, settings: KubernetesSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._secret = settings.agent_secret.get_secret_value()

    async def url(self, node: str) -> str:
        """Where the agent of a node answers. BackendFailure where none is ready."""
        found = await ready_pods(self._cluster, self._settings.agent_namespace, COMPONENT, on=node)
        if node not in found:
            raise BackendFailure(
                f"No node agent is ready on {node}, so nothing can be saved there now. Try again; if it stays so, an "
                "administrator should look at the agent's pods."
            )
        return f"http://{found[node]}:{self._settings.agent_port}"

    async def save(self, node: str, request: SaveRequest) -> AsyncGenerator[Progress | Saved, None]:
        """Have a container saved; raises what the agent says went wrong. Given up, the agent stops as well."""
        async with aclosing(self._ask(node, SAVE_PATH, request)) as answers:
            async for answer in answers:
                if not isinstance(answer, Previewed):
                    yield answer

    async def preview(self, node: str, request: SaveRequest) -> Previewed:
        """What a save of a container would write now; raises what the agent says went wrong."""
        async with aclosing(self._ask(node, PREVIEW_PATH, request)) as answers:
            async for answer in answers:
                if isinstance(answer, Previewed):
                    return answer
        raise BackendFailure(f"The node agent on {node} did not say what a save would hold. Try again.")

    async def _ask(
        self, node: str, path: str, request: SaveRequest
    ) -> AsyncGenerator[Progress | Saved | Previewed, None]:
        body = request.model_dump_json().encode()
        url = await self.url(node)
        for attempt in range(1, _AGAIN + 1):
            header, nonce = sign(self._secret, Asked("POST", path, body, node))
            try:
                async with _asked(f"{url}{path}", body, header, node) as answer:
                    async for each in self._answers(answer, nonce, node):
                        yield each
                return
            except NotAuthenticated:
                if attempt == _AGAIN:
                    raise

    async def _answers(
        self, answer: httpx.Response, nonce: str, node: str
    ) -> AsyncIterator[Progress | Saved | Previewed]:
        try:
            async for text in answer.aiter_lines():
                line = Line.model_validate_json(text)
                if isinstance(line.answer, Progress):
                    yield line.answer
                    continue
                self._check(line, nonce, node)
                if isinstance(line.answer, Failed):
                    raise raised(line.answer)
                yield line.answer
                return
        except (httpx.TransportError, ValidationError) as error:
            raise BackendFailure(f"The node agent on {node} broke off ({type(error).__name__}). Try again.") from error
        raise BackendFailure(f"The node agent on {node} ended in the middle. Try again.")

    def _check(self, line: Line, nonce: str, node: str) -> None:
        """Only an agent, asked by us with this nonce, can have said this."""
        expected = prove(self._secret, nonce, line.answer.model_dump_json().encode())
        if not compare_digest(expected, line.proof):
            raise BackendFailure(f"What answers as the node agent on {node} does not have its secret.")


@asynccontextmanager
async def _asked(url: str, body: bytes, header: str, node: str) -> AsyncIterator[httpx.Response]:
    timeout = httpx.Timeout(_SILENCE, connect=10)
    headers = {"Authorization": header, "Content-Type": "application/json"}
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                await answer.aread()
                raise refusal_of(answer, f"node agent on {node}")
            yield answer
    except httpx.TransportError as error:
        raise BackendFailure(
            f"The node agent on {node} does not answer ({type(error).__name__}). Try again."
        ) from error


def refusal_of(answer: httpx.Response, who: str) -> MlplatError:
    """The error that an answer stands for; `who` gave it."""
    try:
        document = answer.json()
        return raised(Failed(code=document["error_code"], message=document["error_msg"]))
    except (ValueError, LookupError, TypeError):
        return BackendFailure(f"The {who} answers with the status {answer.status_code}.")


def raised(failed: Failed) -> MlplatError:
    """The error that an agent's words stand for."""
    kinds = {kind.code: kind for kind in _kinds(MlplatError)}
    return kinds.get(failed.code, MlplatError)(failed.message)


def _kinds(kind: type[MlplatError]) -> list[type[MlplatError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


async def ready_pods(cluster: Cluster, namespace: str, component: str, *, on: str = "") -> dict[str, str]:
    """The hosts of the pods that are ready, by their nodes: of all, or of the node `on`."""
    path = path_of(namespace, "pods")
    query = {"labelSelector": f"app.kubernetes.io/name=jupyter-mlplat,app.kubernetes.io/component={component}"}
    found = await cluster.get(path, **query, **({"fieldSelector": f"spec.nodeName={on}"} if on else {}))
    addresses = {pod["spec"].get("nodeName", ""): pod["status"]["podIP"] for pod in found["items"] if _ready(pod)}
    return {node: f"[{address}]" if ":" in address else address for node, address in addresses.items()}


def _ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
