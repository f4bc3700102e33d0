"""The command `mlplat`."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jupyter_mlplat import __version__
from jupyter_mlplat.cli import (
    advisories,
    audit,
    embedded,
    environments,
    flavors,
    images,
    instances,
    jobs,
    mounts,
    quotas,
    ssh,
    storage,
    users,
)
from jupyter_mlplat.cli.failures import report, report_defect
from jupyter_mlplat.errors import MlplatError

REFUSED = 1


class Commands(TyperGroup):
    """All commands; an error of the platform ends one with plain words and exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (MlplatError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            report(error)
            raise typer.Exit(REFUSED) from None


app = typer.Typer(
    cls=Commands,
    help="Notebook instances, images, training jobs and storage of a jupyter-mlplat platform.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
embedded.add_to(app)
app.add_typer(users.app, name="user")
app.add_typer(instances.app, name="instance")
app.add_typer(environments.app, name="env")
app.add_typer(images.app, name="image")
app.add_typer(advisories.app, name="advisory")
app.add_typer(flavors.app, name="flavor")
app.add_typer(jobs.app, name="job")
app.add_typer(storage.app, name="storage")
app.add_typer(mounts.app, name="mount")
app.add_typer(ssh.app, name="ssh")
app.add_typer(audit.app, name="audit")
app.add_typer(quotas.app, name="quota")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlplat {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)]


@app.callback()
def _root(version: Version = False) -> None:
    pass


def main() -> None:
    """Run the command line; exit status 0 done, 1 refused or failed, 2 bad usage."""
    try:
        app(prog_name="mlplat")
    except Exception as error:
        if os.environ.get("MLPLAT_DEBUG"):
            raise
        report_defect(error)
        sys.exit(REFUSED)
