"""How fast saves write."""

import time
from collections.abc import Callable

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.images.models import SaveProgress


class Pace:
    """Turns what back ends say of saves into progress with a speed: bytes a second since the writing began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: dict[str, tuple[str, float, int]] = {}

    def progress(self, image_id: str, reached: Checkpoint) -> SaveProgress:
        at = self._clock()
        message, since, first = self._began.get(image_id, ("", at, 0))
        if message != reached.message or reached.done < first:
            self._began = {image_id: (reached.message, at, reached.done)} | {
                other: began for other, began in self._began.items() if other != image_id
            }
            since, first = at, reached.done
        speed = round((reached.done - first) / (at - since)) if at > since else 0
        return SaveProgress(done=reached.done, total=reached.total, message=reached.message, speed=speed)

    def forget(self, image_id: str) -> None:
        self._began.pop(image_id, None)
