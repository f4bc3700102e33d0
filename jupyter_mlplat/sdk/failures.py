"""Errors of the SDK: those of the platform as they were raised there, and those of the way to it."""

from jupyter_mlplat import errors
from jupyter_mlplat.core.models import Problem
from jupyter_mlplat.errors import BackendFailure, MlplatError

_BY_CODE: dict[str, type[MlplatError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MlplatError)
}


class Unreachable(BackendFailure):
    """The platform does not answer, or something else answers in its place."""

    code = "MLPLAT.UNREACHABLE"


class NoProfile(MlplatError):
    """Nothing says which platform to talk to, or what does is unreadable."""

    code = "MLPLAT.NO_PROFILE"


class WaitTimeout(MlplatError):
    """What was waited for did not happen in time; it may still happen."""

    code = "MLPLAT.WAIT_TIMEOUT"


class Disconnected(MlplatError):
    """A stream ended before its end."""

    code = "MLPLAT.DISCONNECTED"


def from_problem(problem: Problem) -> MlplatError:
    """The error that the platform raised; `request_id` on it names the request in the platform's log."""
    error = _BY_CODE.get(problem.error_code, MlplatError)(problem.error_msg)
    setattr(error, "request_id", problem.request_id)  # noqa: B010 - only errors that came over the wire have one
    return error


def request_id_of(error: MlplatError) -> str:
    """The id of the request that failed; empty where the error did not come from the platform."""
    return str(getattr(error, "request_id", ""))
