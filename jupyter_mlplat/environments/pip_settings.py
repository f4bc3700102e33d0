"""Where packages come from: pip's own configuration, in uv's words, so that what the machine has is not downloaded."""

import ast
import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jupyter_mlplat.environments.interpreter import base_python

_SECTIONS = ("global", "install", ":env:")
"""pip's, the stronger ones last."""


async def pip_settings() -> dict[str, str]:
    """pip's settings by name. Empty where no pip can be asked and the environment says nothing."""
    for python in (sys.executable, str(base_python())):
        command = [python, "-m", "pip", "config", "list"]
        quiet = asyncio.subprocess.DEVNULL
        pip = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=quiet)
        listing, _ = await pip.communicate()
        if pip.returncode == 0:
            return parse_settings(listing.decode())
    return environment_settings(os.environ)


def parse_settings(listing: str) -> dict[str, str]:
    """What `pip config list` printed: lines like `global.find-links='/wheels'`."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        key, separator, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if separator and section in found:
            found[section][name] = str(ast.literal_eval(value))
    return {name: value for section in _SECTIONS for name, value in found[section].items()}


def environment_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings from its variables alone."""
    own = {name.removeprefix("PIP_"): value for name, value in environment.items() if name.startswith("PIP_")}
    return {name.lower().replace("_", "-"): value for name, value in own.items()}


def uv_options(settings: Mapping[str, str], torch_backend: str | None) -> list[str]:
    """The options of `uv pip install` that mean the same as pip's settings.

    A version that an extra index has comes before one of the main index, which is often farther away.
    """
    options = ["--index-strategy", "unsafe-first-match"]
    for name, option in {
        "index-url": "--default-index",
        "extra-index-url": "--index",
        "find-links": "--find-links",
    }.items():
        options += [word for value in settings.get(name, "").split() for word in (option, value)]
    options += [word for host in settings.get("trusted-host", "").split() for word in ("--allow-insecure-host", host)]
    if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        options.append("--no-index")
    if torch_backend and not any(_torch_wheels(settings)):
        options += ["--torch-backend", torch_backend]
    return options


def _torch_wheels(settings: Mapping[str, str]) -> Iterator[Path]:
    """The PyTorch wheels in the folders that pip looks into."""
    for link in settings.get("find-links", "").split():
        yield from Path(link.removeprefix("file://")).glob("torch-*.whl")
