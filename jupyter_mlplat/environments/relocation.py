"""Makes files that name their environment's own folder good wherever the environment lies. Pure."""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial

from jupyter_mlplat.environments.kernels import UP

Transform = Callable[[bytes], bytes]

_SCRIPT_LIMIT = 1 << 18
_DIRECT = re.compile(rb"#![ \t]*(?P<python>\S+)(?P<options>[ \t][^\n]*)?\n")
_THROUGH_SHELL = re.compile(
    rb"#!/bin/sh\n'''exec' (?P<quote>[\"']?)(?P<python>[^\n\"']+?)(?P=quote)(?P<options>( -\S+)*) "
    rb"\"\$0\" \"\$@\"\n' '''\n"
)
_PYTHON = re.compile(rb"python[0-9.]*")
_KERNEL = re.compile(r"share/jupyter/kernels/[^/]+/kernel\.json")
_BINARIES = re.compile(r"(?P<inner>envs/[^/]+/|)bin/[^/]+")
_INNER_PYTHON = re.compile(r"/(?P<inner>envs/[^/]+)/bin/python[0-9.]*")


def transform_of(path: str, size: int, prefixes: Sequence[str]) -> Transform | None:
    """What a file at `path` of an environment goes through on its way into a layer; None for most.

    `prefixes` are the names by which the environment's folder is known now.
    """
    binary = _BINARIES.fullmatch(path)
    if binary is not None and size <= _SCRIPT_LIMIT:
        inner = binary["inner"].rstrip("/")
        return partial(relocate_script, prefixes=[f"{prefix}/{inner}".rstrip("/") for prefix in prefixes])
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
    """A kernel that runs the environment's own interpreter says `python`, which Jupyter takes as just that.

    One that runs the interpreter of an environment inside it names that by its way from the kernel's folder.
    """
    try:
        spec = json.loads(content)
        program = spec["argv"][0]
    except (ValueError, LookupError, TypeError):
        return content
    own = [prefix for prefix in prefixes if isinstance(program, str) and program.startswith(f"{prefix}/")]
    inner = _INNER_PYTHON.fullmatch(program[len(own[0]) :]) if own else None
    if inner is not None:
        spec["argv"][0] = f"{UP}/{inner['inner']}/bin/python"
    elif own and program.startswith(f"{own[0]}/bin/python"):
        spec["argv"][0] = "python"
    else:
        return content
    return json.dumps(spec, indent=1).encode()
