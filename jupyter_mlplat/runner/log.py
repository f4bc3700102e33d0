"""The job's log: text as it comes, at once, with a line of our own here and there."""

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


def plain(text: str) -> str:
    """Text without the codes that colour it on a terminal."""
    return _ANSI.sub("", text)


class Log:
    """Appends to one file without holding anything back. `descriptor` may be given to a process as its output."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, text: str) -> None:
        content = memoryview(text.encode("utf-8", "replace"))
        while content:
            content = content[os.write(self.descriptor, content) :]

    def line(self, text: str) -> None:
        """A whole line; what was written before without an end is ended."""
        size = os.fstat(self.descriptor).st_size
        if size and os.pread(self.descriptor, 1, size - 1) != b"\n":
            text = "\n" + text
        self.write(text + "\n")

    def note(self, text: str) -> None:
        """A line of the platform's own."""
        self.line(f"[mlplat] {text}")

    def last_line(self) -> str:
        """The last line with something in it, of the last few KiB."""
        size = os.fstat(self.descriptor).st_size
        tail = os.pread(self.descriptor, 4096, max(0, size - 4096)).decode("utf-8", "replace")
        lines = [line.strip() for line in plain(tail).splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def take_over(self, path: Path) -> None:
        """Append the end of another file, which may not be there."""
        with contextlib.suppress(FileNotFoundError):
            text = path.read_bytes()[-8192:].decode("utf-8", "replace").strip()
            if text:
                self.line(plain(text))


def message_in_words(message: Mapping[str, Any]) -> str | None:
    """What an output message of a kernel adds to the log; None for those that say nothing to a reader."""
    content = message["content"]
    match message["msg_type"]:
        case "stream":
            return str(content["text"])
        case "error":
            return plain("\n".join(content["traceback"])) + "\n"
        case "execute_result" | "display_data":
            return _display_in_words(content["data"])
    return None


def _display_in_words(data: Mapping[str, Any]) -> str:
    words = [f"[{kind}]" for kind in data if kind.startswith(("image/", "video/", "audio/"))]
    words += ["[html]"] if "text/html" in data else []
    words += ["[widget]"] if "application/vnd.jupyter.widget-view+json" in data else []
    text = data.get("text/plain", "")
    if text and not any(word.startswith("[image/") for word in words):
        words.append(text if isinstance(text, str) else "".join(text))
    return " ".join(words) + "\n" if words else ""
