"""The files of a job on their way to the platform."""

import re
from collections.abc import Mapping
from pathlib import Path

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.jobs.bundle import Limits, Survey, survey
from jupyter_mlplat.jobs.models import Kind, Scalar
from jupyter_mlplat.jobs.notebook import PYTHON_KERNELS, check, inspect, kernel_of, kind_of, read
from jupyter_mlplat.sdk.bundles import Sent, send
from jupyter_mlplat.sdk.wire import Wire


class Submission:
    """A notebook or script with the files of its folder. Raises InvalidInput, NotFound or TooLarge.

    `limits` are those of the platform, as `client.jobs.limits()` gives them.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
        self._path = path
        self._is_notebook = kind_of(path.name) is Kind.NOTEBOOK
        if self._is_notebook:
            _check(path)
        self.survey: Survey = survey(path.absolute().parent, path.name, limits)
        self.name = job_name(path.stem)

    def fitted(self, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The parameters as the notebook wants them. InvalidInput for one that it does not take."""
        return check(read(self._path), parameters) if self._is_notebook else dict(parameters)

    def upload(self, wire: Wire, sent: Sent | None = None) -> dict[str, str]:
        """Pack the files and send them unless the platform has them; the fields of JobCreate that name them."""
        bundle = send(wire, self.survey, sent)
        return {"bundle": bundle, "entry": self.survey.entry}


def job_name(stem: str) -> str:
    """A job's name from a file's: what a name may not hold becomes -."""
    cleaned = re.sub(r"[^A-Za-z0-9_\u4e00-\u9fff-]+", "-", stem).strip("-_")
    return cleaned[:64] or "job"


def _check(path: Path) -> None:
    """Refuse a notebook that cannot run. Which kernels the image has is not known here: the job says so itself."""
    facts = inspect(path, {*PYTHON_KERNELS, kernel_of(read(path))})
    if facts.problems:
        raise InvalidInput(" ".join(facts.problems))
