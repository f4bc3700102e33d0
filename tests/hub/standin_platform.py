"""Stands in for the platform process: redeems single-use permits from files, answers 401 to everything else.

`permits/PERMIT.json` below the data folder holds the ServerLaunch that the permit stands for.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATA = Path(os.environ["MLPLAT_DATA_DIR"])
SECRET = os.environ["MLPLAT_HUB_SECRET"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(401, {"error_code": "MLPLAT.NOT_AUTHENTICATED"})

    def do_POST(self) -> None:
        words = self.path.split("/")
        if words[-1] != "redeem" or self.headers["Authorization"] != f"hub {SECRET}":
            return self._answer(401, {})
        permit = DATA / "permits" / f"{words[-2]}.json"
        try:
            used = permit.rename(permit.with_suffix(".used"))
        except FileNotFoundError:
            return self._answer(404, {})
        return self._answer(200, json.loads(used.read_text()))

    def log_message(self, *words: object) -> None:
        """Quiet."""

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["MLPLAT_PORT"])), Handler).serve_forever()
