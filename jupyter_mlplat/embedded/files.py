"""Small files that are replaced as a whole, so that nobody ever reads half of one."""

import json
import os
from pathlib import Path
from typing import Any


def write_private(path: Path, text: str) -> None:
    """Write atomically; only the owner may read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_text(text)
    draft.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; only the owner may read it."""
    write_private(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """What the file holds; None where it is absent or no JSON."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
