"""The one error tree.

    MlplatError                     500  MLPLAT.INTERNAL
    ├── InvalidInput                422  MLPLAT.INVALID_INPUT     the caller sent something that cannot be meant
    ├── NotAuthenticated            401  MLPLAT.NOT_AUTHENTICATED
    ├── NotAllowed                  403  MLPLAT.NOT_ALLOWED       known to the caller, but not theirs to do
    ├── NotFound                    404  MLPLAT.NOT_FOUND         absent, or private to somebody else
    ├── Conflict                    409  MLPLAT.CONFLICT          the state does not admit it now
    │   ├── AlreadyExists           409  MLPLAT.ALREADY_EXISTS
    │   ├── InUse                   409  MLPLAT.IN_USE
    │   └── SoldOut                 409  MLPLAT.SOLD_OUT          the capacity is not there now
    ├── TooLarge                    413  MLPLAT.TOO_LARGE
    ├── QuotaExceeded               429  MLPLAT.QUOTA_EXCEEDED
    ├── NoSpace                     507  MLPLAT.NO_SPACE          the disk is full
    └── BackendFailure              503  MLPLAT.BACKEND_FAILURE   what runs the work said no

A message says what happened and what to do about it, in one or two sentences that a user can read.
Only `jupyter_mlplat.http` maps the tree to HTTP; nothing else knows the numbers.
"""


class MlplatError(Exception):
    """Base of all errors that the platform raises on purpose; `message` is shown to people."""

    code = "MLPLAT.INTERNAL"
    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(MlplatError):
    code = "MLPLAT.INVALID_INPUT"
    status = 422


class NotAuthenticated(MlplatError):
    code = "MLPLAT.NOT_AUTHENTICATED"
    status = 401


class NotAllowed(MlplatError):
    code = "MLPLAT.NOT_ALLOWED"
    status = 403


class NotFound(MlplatError):
    code = "MLPLAT.NOT_FOUND"
    status = 404


class Conflict(MlplatError):
    code = "MLPLAT.CONFLICT"
    status = 409


class AlreadyExists(Conflict):
    code = "MLPLAT.ALREADY_EXISTS"


class InUse(Conflict):
    code = "MLPLAT.IN_USE"


class SoldOut(Conflict):
    code = "MLPLAT.SOLD_OUT"


class TooLarge(MlplatError):
    code = "MLPLAT.TOO_LARGE"
    status = 413


class QuotaExceeded(MlplatError):
    code = "MLPLAT.QUOTA_EXCEEDED"
    status = 429


class NoSpace(MlplatError):
    code = "MLPLAT.NO_SPACE"
    status = 507


class BackendFailure(MlplatError):
    code = "MLPLAT.BACKEND_FAILURE"
    status = 503
