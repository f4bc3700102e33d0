"""What a cell prints, kept as one output as long as it goes on in the same stream, as a terminal would show it."""

from typing import Any

_TEXT_AT_MOST = 5_000_000
_CUT = "\n… the rest is left out here; the log has all of it.\n"


def append_stream(outputs: list[Any], name: str, text: str) -> Any:
    """Add text to a cell's outputs; the output that has it now. A cell keeps at most 5 MB, then says that it is cut."""
    from nbformat import NotebookNode

    if not outputs or outputs[-1].get("output_type") != "stream" or outputs[-1]["name"] != name:
        outputs.append(NotebookNode(output_type="stream", name=name, text=""))  # type: ignore[no-untyped-call]
    last = outputs[-1]
    if last["text"].endswith(_CUT):
        return last
    last["text"] = overwritten(last["text"], text)
    if sum(len(output["text"]) for output in outputs if output["output_type"] == "stream") > _TEXT_AT_MOST:
        last["text"] += _CUT
    return last


def overwritten(before: str, text: str) -> str:
    """`before` followed by `text`, where a carriage return begins its line anew, as progress bars use it."""
    if "\r" not in text and not before.endswith("\r"):
        return before + text
    start = before.rfind("\n") + 1
    lines = (before[start:] + text).replace("\r\n", "\n").split("\n")
    return before[:start] + "\n".join(_last_state(line) for line in lines)


def _last_state(line: str) -> str:
    """What a line shows; carriage returns at its end do nothing until more text comes."""
    shown = line.rstrip("\r")
    return shown.rpartition("\r")[2] + ("\r" if shown != line else "")
