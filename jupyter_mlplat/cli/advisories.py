"""`mlplat advisory`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.formats import relative
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import say, show_json
from jupyter_mlplat.cli.session import platform

if TYPE_CHECKING:
    from jupyter_mlplat.advisories.models import AdvisoryStatus

app = typer.Typer(help="Advisories: known vulnerabilities that images are held against.", no_args_is_help=True)


@app.command()
def status(as_json: Json = False) -> None:
    """Show how many advisories the platform knows, and how old they are."""
    with platform() as client:
        _tell(client.advisories.status(), as_json)


@app.command()
def load(
    path: Annotated[
        Path,
        typer.Argument(exists=True, help="Documents in the OSV format: a file, a folder, or a zip such as PyPI's."),
    ],
    as_json: Json = False,
) -> None:
    """Hold images against the advisories in PATH, in place of all earlier ones (administrators)."""
    from jupyter_mlplat.advisories import osv

    found = osv.read(path)
    with platform() as client:
        _tell(client.advisories.replace(found), as_json)


def _tell(found: "AdvisoryStatus", as_json: bool) -> None:
    if as_json:
        show_json(found)
    elif found.loaded_at is None:
        say("No advisories have been loaded: an administrator gives some with mlplat advisory load PATH.")
    else:
        noun = "advisory" if found.count == 1 else "advisories"
        say(f"{found.count:,} {noun}, loaded {relative(found.loaded_at)}")
