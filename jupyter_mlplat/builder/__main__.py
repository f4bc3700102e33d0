"""`python -m jupyter_mlplat.builder FOLDER`: the messenger in the pod of a build.

It runs beside buildah, in a container of its own: it alone has the build's token, and none of the two has any right at
the registry. It ends once what came of the build has arrived, however long the platform is away.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from jupyter_mlplat.builder.fetch import fetch
from jupyter_mlplat.builder.messages import Beginning, Result
from jupyter_mlplat.builder.places import CODE, LOG, Places
from jupyter_mlplat.builder.result import Send, deliver
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.oci.beneath import open_beneath, opened_folder
from jupyter_mlplat.runner.courier import Courier, Over, Refused

LOOK_EVERY = 0.25
_PIECE = 1 << 20
_LOG_AT_MOST = 64 << 20
"""Of a longer log the rest is left out."""


class Messenger:
    """Sends the log of a build while it goes on, then what came of it."""

    def __init__(self, courier: Courier, places: Places, pod: str) -> None:
        self._courier, self._places, self._pod = courier, places, pod
        self._sent = 0

    def run(self) -> None:
        beginning: Beginning = self._courier.ask("POST", "begin", pod=self._pod)
        self._sent = beginning["log"]
        try:
            fetch(self._courier, self._places, beginning)
            self._end(self._outcome(beginning))
        except MlplatError as error:
            self._end(Result(code=1, problem=error.message))

    def _outcome(self, beginning: Beginning) -> Result:
        while not (code := self._read(CODE, 0, 16)):
            self._send_log()
            time.sleep(LOOK_EVERY)
        self._send_log()
        if code.strip() != b"0":
            return Result(code=int(code) if code.strip().isdigit() else 1)
        return deliver(self._places.out, set(beginning["known"]), self._send_layer)

    def _end(self, result: Result) -> None:
        self._courier.ask("PUT", "end", json.dumps(result).encode(), pod=self._pod)

    @property
    def _send_layer(self) -> Send:
        return lambda digest, opened: self._courier.ask("PUT", f"layers/{digest}", opened, pod=self._pod)

    def _send_log(self) -> None:
        while self._sent < _LOG_AT_MOST and (piece := self._read(LOG, self._sent, _PIECE)):
            self._sent = self._courier.ask("PUT", "log", piece, pod=self._pod, offset=self._sent)["size"]

    def _read(self, name: str, offset: int, limit: int) -> bytes:
        """Some bytes of a file that buildah writes; none where it is not there, or is something else by now."""
        with (
            suppress(OSError),
            opened_folder(str(self._places.out)) as folder,
            os.fdopen(open_beneath(folder, name), "rb") as file,
        ):
            file.seek(offset)
            return file.read(limit)
        return b""


def main(arguments: list[str]) -> int:
    """Always 0 where there is nothing more to send: what came of a build is not for its messenger to say."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    token = Path(os.environ["MLPLAT_TOKEN_FILE"]).read_text().strip()
    courier = Courier(os.environ["MLPLAT_API"], os.environ["MLPLAT_IMAGE_ID"], token, "builds")
    try:
        Messenger(courier, Places(Path(arguments[0])), os.environ["MLPLAT_POD"]).run()
    except (Over, Refused) as reason:
        print(f"nothing more to do: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
