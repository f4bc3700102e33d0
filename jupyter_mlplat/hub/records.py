"""`server.json` in the state folder of an instance: which process is its server, and how it ended."""

import json
from pathlib import Path

from jupyter_mlplat.core.processes import Process

NAME = "server.json"


def write_record(path: Path, process: Process, exit_code: int | None) -> None:
    """Write the record atomically; an `exit_code` of None says that the process was started."""
    content = {"pid": process.pid, "started": process.started, "exit_code": exit_code}
    draft = path.with_suffix(f".{process.pid}.part")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def read_record(path: Path) -> tuple[Process, int | None] | None:
    """The process and its exit code (None while it runs or where nobody saw it end); None without a record."""
    try:
        content = json.loads(path.read_text())
        return Process(int(content["pid"]), int(content["started"])), content["exit_code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
