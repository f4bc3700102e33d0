"""Why the cluster ended pods of jobs: kept, since such a pod may be gone before anybody has asked."""

from collections.abc import Collection
from typing import Any

from jupyter_mlplat.backends.kubernetes.job_trouble import disruption

Json = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"


class Disruptions:
    """By the names of Jobs, and by their nodes: a pod that follows a disrupted one is a new beginning."""

    def __init__(self) -> None:
        self._causes: dict[str, dict[str, str]] = {}

    def note(self, job: str, pod: Json, known: Collection[str]) -> None:
        """What the pod of a Job says now. Only of `known` Jobs, and of this one, anything is kept."""
        for gone in self._causes.keys() - {job, *known}:
            del self._causes[gone]
        node = str(pod["metadata"].get("annotations", {}).get(INDEX, ""))
        if why := disruption(pod):
            self._causes.setdefault(job, {})[node] = why
        else:
            self._causes.get(job, {}).pop(node, None)

    def cause(self, job: str) -> str | None:
        """Why a pod of the Job was ended, of the first node that it happened to."""
        return next(iter(self._causes.get(job, {}).values()), None)
