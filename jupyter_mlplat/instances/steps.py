"""The steps of a start, as JSON kept in the instance's row."""

from datetime import datetime
from typing import Any

from jupyter_mlplat.backends.base import Checkpoint
from jupyter_mlplat.core.clock import now
from jupyter_mlplat.instances.models import Step, StepName, StepStatus

Steps = list[Any]


def fresh() -> Steps:
    """All steps, waiting."""
    return _dump([Step(name=name) for name in StepName])


def advance(steps: Steps, checkpoint: Checkpoint) -> Steps:
    """The steps once `checkpoint` is reached: those before its step are done, its own is under way."""
    if checkpoint.step is None or not steps:
        return steps
    read = [Step.model_validate(step) for step in steps]
    reached = [step.name for step in read].index(checkpoint.step)
    for step in read[:reached]:
        _finish(step, StepStatus.COMPLETED, checkpoint.at)
    current = read[reached]
    current.status = StepStatus.PROCESSING
    current.message = checkpoint.message
    current.started_at = current.started_at or checkpoint.at
    return _dump(read)


def close(steps: Steps, status: StepStatus, message: str = "") -> Steps:
    """The steps at the end of a start: all completed, or the one under way failed."""
    read, at = [Step.model_validate(step) for step in steps], now()
    for step in read:
        if status is StepStatus.COMPLETED:
            _finish(step, status, at)
        elif step.status is StepStatus.PROCESSING:
            _finish(step, status, at)
            step.message = message
    return _dump(read)


def _finish(step: Step, status: StepStatus, at: datetime) -> None:
    if step.status in (StepStatus.COMPLETED, StepStatus.FAILED):
        return
    step.status = status
    step.started_at = step.started_at or at
    step.finished_at = at


def _dump(steps: list[Step]) -> Steps:
    return [step.model_dump(mode="json") for step in steps]
