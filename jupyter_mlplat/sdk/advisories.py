"""Known vulnerabilities of packages."""

from collections.abc import Iterable

from jupyter_mlplat.advisories.models import Advisory, AdvisoryStatus
from jupyter_mlplat.sdk.wire import Wire


class Advisories:
    """`client.advisories`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def status(self) -> AdvisoryStatus:
        """How many the platform knows, and since when."""
        return self._wire.call("GET", "/advisories", AdvisoryStatus)

    def replace(self, advisories: Iterable[Advisory]) -> AdvisoryStatus:
        """Have images held against these, in place of all earlier ones. For administrators."""
        lines = (f"{one.model_dump_json()}\n".encode() for one in advisories)
        answer = self._wire.send("PUT", "/advisories", content=lines, headers={"Content-Type": "application/jsonl"})
        return self._wire.parsed(answer, AdvisoryStatus)
