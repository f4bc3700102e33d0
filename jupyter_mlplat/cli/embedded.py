"""`mlplat up`, `status` and `down`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from jupyter_mlplat.cli.options import Json

PORT = 8000


def default_data_dir() -> Path:
    """MLPLAT_DATA_DIR, else mlplat in the user's data folder."""
    if os.environ.get("MLPLAT_DATA_DIR"):
        return Path(os.environ["MLPLAT_DATA_DIR"])
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mlplat"


DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="D", help="Where the platform keeps everything.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of the embedded platform."""
    for command in (up, status, down):
        app.command()(command)


def up(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(metavar="P", min=1, max=65535, help="Of 127.0.0.1.")] = PORT,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it answers.")] = False,
    as_json: Json = False,
) -> None:
    """Start the platform on this machine; prints an address that logs you in."""


def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say what of the platform runs, and where."""


def down(
    data_dir: DataDir = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Stop running jobs too; else they go on.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the platform. Jobs that run go on."""
