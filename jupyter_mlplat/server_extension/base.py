"""What all handlers of the extension share: authentication, errors as Problem bodies, paths of the work folder."""

import json
from http.client import responses
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from jupyter_mlplat.core.ids import new_id
from jupyter_mlplat.errors import (
    BackendFailure,
    InvalidInput,
    MlplatError,
    NotAllowed,
    NotFound,
    TooLarge,
)
from jupyter_mlplat.server_extension.platform import Answer

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_CODES = {400: InvalidInput.code, 401: NotAllowed.code, 403: NotAllowed.code, 404: NotFound.code, 413: TooLarge.code,
          422: InvalidInput.code, 503: BackendFailure.code}  # fmt: skip


class MlplatHandler(APIHandler):
    """A handler that only the server's user may call; its errors are `{error_code, error_msg, request_id}`."""

    auth_resource = "mlplat"

    async def prepare(self) -> None:  # type: ignore[override]
        await super().prepare()
        if not self.current_user:
            raise HTTPError(403, "Log in to use this server.")
        action = "read" if self.request.method in _READS else "write"
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource)):
            raise HTTPError(403, f"You may not {action} here.")

    @property
    def work_folder(self) -> Path:
        """The folder whose files Lab shows."""
        return Path(self.settings["server_root_dir"]).expanduser()

    def body_object(self) -> dict[str, Any]:
        """The request's JSON object; InvalidInput where the body is something else."""
        try:
            body = json.loads(self.request.body)
        except ValueError:
            raise InvalidInput("The body of this request must be a JSON object.") from None
        if not isinstance(body, dict):
            raise InvalidInput("The body of this request must be a JSON object.")
        return body

    def answer(self, body: Any, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.finish(json.dumps(body))

    def pass_on(self, answer: Answer) -> None:
        """Finish with what the platform said."""
        self.set_status(answer.status)
        self.finish(answer.body)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if isinstance(value, MlplatError) and value.status < 500:
            self.log.info("mlplat: %s %s: %s", self.request.method, self.request.path, value.message)
        elif isinstance(value, MlplatError):
            self.log.warning("mlplat: %s %s: %s", self.request.method, self.request.path, value.message)
        else:
            super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, MlplatError):
            self.set_status(error.status)
            code, message = error.code, error.message
        else:
            code = _CODES.get(status_code, MlplatError.code)
            message = getattr(error, "log_message", None) or responses.get(status_code, "Something went wrong.")
        self.finish(json.dumps({"error_code": code, "error_msg": message, "request_id": new_id("r")}))


def in_work_folder(root: Path, relative: str) -> Path:
    """The path of a work-relative name, which need not exist; InvalidInput where it lies outside the work folder."""
    if "\0" in relative:
        raise InvalidInput("A path cannot contain a NUL character.")
    base = root.resolve()
    path = (base / relative.lstrip("/")).resolve()
    if not path.is_relative_to(base):
        raise InvalidInput(f"{relative} lies outside the work folder. Give a path inside it.")
    return path
