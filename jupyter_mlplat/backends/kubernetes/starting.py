"""How a start goes: the cluster's events as checkpoints, and the reason why it cannot succeed."""

from datetime import UTC, datetime
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint, InstanceSpec
from jupyter_mlplat.backends.kubernetes import diagnosis, names
from jupyter_mlplat.backends.kubernetes.diagnosis import Trouble
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.backends.kubernetes.watch import World
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.instances.models import StepName

Json = dict[str, Any]


class StartFailed(MlplatError):
    """The instance cannot come up; the message says why and what to do."""

    code = "MLPLAT.START_FAILED"


class Start:
    """Follows one start through what the watch sees; `look` as often as something has changed.

    `look` returns the checkpoints that are new, and raises StartFailed once the start cannot succeed any more.
    """

    def __init__(self, spec: InstanceSpec, world: World, settings: KubernetesSettings) -> None:
        self._spec, self._world, self._settings = spec, world, settings
        self._pod_name = names.pod_name(spec.instance_id)
        self._claim_name = names.claim_name(spec.instance_id)
        self._said: set[str] = set()
        self._since: datetime | None = None

    def look(self, now: datetime | None = None) -> list[Checkpoint]:
        """What is new since the last look."""
        pod = self._world.pod(self._pod_name)
        if pod is None:
            return []
        if diagnosis.has_ended(pod):
            raise StartFailed(f"The server ended while it started: {self.ending(pod)}.")
        events = self._events(pod)
        found = diagnosis.trouble(pod, events, self._spec.image_name)
        steps = [checkpoint for checkpoint in self._progress(pod, events) if self._is_news(checkpoint.message)]
        return steps + self._waiting(found, now or datetime.now(UTC))

    def ending(self, pod: Json) -> str:
        """Why the pod has ended."""
        return diagnosis.ending(pod, f"{self._spec.flavor.memory_mib / 1024:.4g} GiB")

    def _events(self, pod: Json) -> list[Json]:
        """The events of this very pod and of the claim."""
        uid = pod["metadata"]["uid"]
        found = self._world.events_of(self._pod_name, self._claim_name)
        return [event for event in found if event["involvedObject"].get("uid") == uid or self._is_of_claim(event)]

    def _is_of_claim(self, event: Json) -> bool:
        return bool(event["involvedObject"].get("name") == self._claim_name)

    def _waiting(self, found: Trouble | None, now: datetime) -> list[Checkpoint]:
        """Trouble is told once; what does not pass within the patience of the settings is a failure."""
        if found is None:
            self._since = None
            return []
        self._since = self._since or now
        if found.fatal or now - self._since >= self._settings.patience:
            raise StartFailed(f"{found.message} {advice(found)}".strip())
        if not self._is_news(found.message):
            return []
        return [Checkpoint(found.message, event=found.event, step=StepName.PREPARE_COMPUTE)]

    def _progress(self, pod: Json, events: list[Json]) -> list[Checkpoint]:
        reasons = {event.get("reason") for event in events}
        image, compute = self._spec.image_name, StepName.PREPARE_COMPUTE
        steps = []
        if node := pod["spec"].get("nodeName"):
            steps.append(Checkpoint(f"Placed on {node}", step=compute))
        if "Pulling" in reasons:
            steps.append(Checkpoint(f"Taking {image}", event="PullingImage", step=compute))
            if "Pulled" in reasons:
                steps.append(Checkpoint(f"{image} is on the node", event="PulledImage", step=compute))
        if pod["status"].get("podIP"):
            steps.append(Checkpoint("The pod is connected", step=StepName.CONFIGURE_NETWORK))
        if diagnosis.is_running(pod):
            steps.append(Checkpoint("Starting JupyterLab", step=StepName.INITIALISE))
        return steps

    def _is_news(self, message: str) -> bool:
        news = message not in self._said
        self._said.add(message)
        return news


def advice(found: Trouble) -> str:
    """What to do about trouble that did not pass."""
    if found.event == "FailedScheduling":
        return "Choose a smaller flavor, or try again once others have stopped theirs."
    if found.event == "PullImageFailed" and not found.fatal:
        return "Try again later; if it stays so, ask an administrator to look at the registry."
    return ""
