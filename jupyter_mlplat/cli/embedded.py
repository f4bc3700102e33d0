"""`mlplat up`, `status` and `down`."""

import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.formats import relative, state
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import note, say, show_fields, show_json
from jupyter_mlplat.cli.progress import spinner
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.embedded import PartStatus, Status

NOT_RUNNING = 1

DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="D", help="Where the platform keeps everything.")]


def default_data_dir() -> Path:
    """MLPLAT_DATA_DIR, else mlplat in the user's data folder."""
    if os.environ.get("MLPLAT_DATA_DIR"):
        return Path(os.environ["MLPLAT_DATA_DIR"])
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mlplat"


def add_to(app: typer.Typer) -> None:
    """Add the commands of the embedded platform."""
    for command in (up, status, down):
        app.command()(command)


def up(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(metavar="P", min=1, max=65535, help="On 127.0.0.1; else 8000.")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it answers.")] = False,
    as_json: Json = False,
) -> None:
    """Start the platform on this machine; prints an address that logs you in."""
    from jupyter_mlplat import embedded

    folder = data_dir or default_data_dir()
    if detach:
        with spinner("Starting the platform", as_json):
            found = embedded.up(folder, port, detach=True)
        _ready(found, as_json)
        return
    if not as_json:
        note("Starting the platform …")
    embedded.up(folder, port, on_ready=lambda found: _ready(found, as_json, stays=True))


def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Say what of the platform runs, and where. Exit status 1 where not all of it does."""
    from jupyter_mlplat import embedded

    found = embedded.status(data_dir or default_data_dir())
    if as_json:
        show_json(asdict(found))
    else:
        _show_status(found)
    if not found.running:
        raise typer.Exit(NOT_RUNNING)


def down(
    data_dir: DataDir = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Stop running jobs too; else they go on.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the platform with all instances; their files stay. Jobs that run go on."""
    from jupyter_mlplat import embedded

    folder = data_dir or default_data_dir()
    before = embedded.status(folder)
    with spinner("Stopping the platform", as_json):
        found = embedded.down(folder, jobs=jobs)
    if as_json:
        show_json(asdict(found))
    elif before.supervised or before.instances or any(part.running for part in before.parts):
        say("The platform is stopped. Start it again: mlplat up")
    else:
        say(f"No platform ran on {before.data_dir}. If yours is on another folder, name that with --data-dir.")


def _ready(found: "Status", as_json: bool, stays: bool = False) -> None:
    if as_json:
        show_json(asdict(found))
        return
    note("The platform is ready. Open this address; it logs you in:")
    say(found.login_url)
    if found.ssh_absent:
        note(found.ssh_absent)
    note("Ctrl-C stops it." if stays else "Stop it: mlplat down")


def _show_status(found: "Status") -> None:
    show_fields(
        [
            ("State", state("UP" if found.running else "DOWN")),
            ("Address", found.login_url if found.running else ""),
            ("Since", relative(datetime.fromisoformat(found.since)) if found.since else ""),
            ("Instances", str(len(found.instances)) if found.running else ""),
            ("Data", str(found.data_dir)),
        ]
    )
    columns: list[Column[PartStatus]] = [
        Column("PROCESS", lambda row: row.name),
        Column("STATE", lambda row: state("RUNNING" if row.running else "GONE")),
        Column("PID", lambda row: str(row.pid) if row.running else "-", right=True),
        Column("SINCE", lambda row: relative(datetime.fromisoformat(row.since)) if row.running else "-"),
        Column("RESTARTS", lambda row: str(row.restarts), right=True),
    ]
    if found.parts:
        say("")
        show_table(found.parts, columns, empty="")
    if any(part.running for part in found.parts) and not found.supervised:
        note("Nobody watches these processes any more. Run `mlplat up` to take them over.")
    elif not found.running:
        note("Start it: mlplat up")
