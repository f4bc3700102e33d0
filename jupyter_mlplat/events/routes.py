"""The event stream."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from jupyter_mlplat.events import store
from jupyter_mlplat.http import Caller, Parts, Services

router = APIRouter(tags=["events"])

PING_SECONDS = 15
AT_ONCE = 200


@router.get(
    "/events",
    operation_id="stream_events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(
    actor: Caller,
    parts: Parts,
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> EventSourceResponse:
    """What changes from now on (or after event `after`, or the Last-Event-ID of a connection that broke off)."""
    since = last_event_id if last_event_id is not None else after
    return EventSourceResponse(_stream(parts, actor.user, since), ping=PING_SECONDS, ping_message_factory=_ping)


def _ping() -> ServerSentEvent:
    """A sign of life that a page can hear: the proxy keeps a stream open whose platform is gone."""
    return ServerSentEvent(event="ping", data="{}")


async def _stream(parts: Services, user: str, since: int | None) -> AsyncIterator[ServerSentEvent]:
    with parts.broker.subscribe(user) as subscription:
        if since is None:
            async with parts.database.read() as session:
                since = await store.latest_id(session)
        yield ServerSentEvent(event="hello", id=str(since), data="{}")
        while True:
            async with parts.database.read() as session:
                events = await store.of_owner(session, user, since, AT_ONCE)
            for event in events:
                since = event.id
                yield ServerSentEvent(event="changed", id=str(event.id), data=event.model_dump_json())
            for noun, resource_id in subscription.take_touches():
                yield ServerSentEvent(event="touched", data=json.dumps({"noun": noun, "resource_id": resource_id}))
            if len(events) < AT_ONCE:
                await subscription.wait()
