"""Makes files that name their environment's own folder good wherever the environment lies. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial

Transform = Callable[[bytes], bytes]

_SCRIPT_LIMIT = 1 << 18
_DIRECT = re.compile(rb"#![ \t]*(?P<python>\S+)(?P<options>[ \t][^\n]*)?\n")
_THROUGH_SHELL = re.compile(
    rb"#!/bin/sh\n'''exec' (?P<quote>[\"']?)(?P<python>[^\n\"']+?)(?P=quote)(?P<options>( -\S+)*) "
    rb"\"\$0\" \"\$@\"\n' '''\n"
)
_PYTHON = re.compile(rb"python[0-9.]*")
_KERNEL = re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json")


def transform_of(path: str, size: int, prefixes: Sequence[str]) -> Transform | None:
    """What a file at `path` of an environment goes through on its way into a layer; None for most.

    `prefixes` are the names by which the environment's folder is known now.
    """
    if path.startswith("bin/") and size <= _SCRIPT_LIMIT:
        return partial(relocate_script, prefixes=prefixes)
    if _KERNEL.fullmatch(path):
        return partial(relocate_kernel, prefixes=prefixes)
    return None


def relocate_script(content: bytes, prefixes: Sequence[str]) -> bytes:
    """A Python script whose first lines name the environment's interpreter finds it beside itself instead.

    The shape is the one that `uv venv --relocatable` gives: sh runs the second line, and Python takes it for a string.
    """
    match = _THROUGH_SHELL.match(content) or _DIRECT.match(content)
    if match is None:
        return content
    folder, _, name = match["python"].rpartition(b"/")
    own = {f"{prefix}/bin".encode() for prefix in prefixes}
    if folder not in own or not _PYTHON.fullmatch(name):
        return content
    options = (match["options"] or b"").strip()
    call = b"'python' " + options + b" " if options else b"'python' "
    first = b'#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")"/' + call + b"\"$0\" \"$@\"\n' '''\n"
    return first + content[match.end() :]


def relocate_kernel(content: bytes, prefixes: Sequence[str]) -> bytes:
    """A kernel that runs the environment's own interpreter says `python`, which Jupyter takes as just that."""
    try:
        spec = json.loads(content)
        program = spec["argv"][0]
    except (ValueError, LookupError, TypeError):
        return content
    if not any(isinstance(program, str) and program.startswith(f"{prefix}/bin/python") for prefix in prefixes):
        return content
    spec["argv"][0] = "python"
    return json.dumps(spec, indent=1).encode()
