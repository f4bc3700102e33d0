"""When the supervisor takes the platform for reached."""

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.embedded.owner_settings import OwnerSettings
from jupyter_mlplat.embedded.parts import Plan
from jupyter_mlplat.embedded.ports import Ports
from jupyter_mlplat.embedded.probes import Probes
from jupyter_mlplat.embedded.secret_files import load_or_create


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        (HTTPStatus.UNAUTHORIZED, True),
        (HTTPStatus.FOUND, False),  # of a Hub whose proxy does not know the platform yet
        (HTTPStatus.NOT_FOUND, False),
        (HTTPStatus.SERVICE_UNAVAILABLE, False),
    ],
)
async def test_the_door_is_open_once_the_platform_itself_asks_who_that_is(
    tmp_path: Path, answer: HTTPStatus, reached: bool
) -> None:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever).start()
        probes = Probes(plan(tmp_path, server.server_port))
        try:
            assert await probes.door_answers() is reached
        finally:
            await probes.close()
            server.shutdown()


def plan(root: Path, public: int) -> Plan:
    folder = DataFolder.at(root)
    folder.prepare()
    ports = Ports(public, 1, 2, 3)
    return Plan(folder, OwnerSettings(), ports, load_or_create(folder.secrets), "alice", "/bin/node", "/proxy.cjs")
