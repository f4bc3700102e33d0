"""What code inside a job says to the platform and asks of it.

    import mlplat
    mlplat.log(step=3, loss=0.25)     # one point of the job's metrics
    mlplat.params()["epochs"]         # the values given at the submission, for scripts

It needs nothing but Python 3.8 and works outside of a job as well, where it only prints.
"""

from __future__ import annotations

import json
import math
import os
import sys
from datetime import datetime, timezone
from typing import Any

__all__ = ["log", "params"]


def log(step: int | None = None, **values: Any) -> None:
    """Record metrics, such as `loss=0.25`, at a step (an epoch, a batch; None where there is none).

    Values are numbers or what `float()` takes: scalars of NumPy, tensors of PyTorch with one element. Those that JSON
    has no number for are kept as the strings "NaN", "Infinity" and "-Infinity". Several processes may log at once: each
    point is one line, written in one piece. Raises TypeError where a value is no number.
    """
    numbers = {name: _number(name, value) for name, value in values.items()}
    at = None if step is None else int(step)
    target = os.environ.get("MLPLAT_METRICS")
    if target:
        _append(target, {"step": at, "at": _now(), "values": {name: _safe(x) for name, x in numbers.items()}})
    sys.stdout.write(_in_words(at, numbers))
    sys.stdout.flush()


def params() -> dict[str, Any]:
    """The parameters that the job was submitted with; an empty dict outside of a job."""
    given = json.loads(os.environ.get("MLPLAT_PARAMETERS") or "{}")
    return dict(given)


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"mlplat.log: {name}={value!r} is text; metrics are numbers")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise TypeError(f"mlplat.log: {name} is no single number: {error}") from None


def _safe(number: float) -> Any:
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()  # noqa: UP017 – datetime.UTC came with 3.11


def _append(path: str, point: dict[str, Any]) -> None:
    line = (json.dumps(point) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _in_words(step: int | None, numbers: dict[str, float]) -> str:
    words = [f"{name}={number:.6g}" for name, number in numbers.items()]
    return " ".join(words if step is None else [f"step {step}:", *words]) + "\n"
