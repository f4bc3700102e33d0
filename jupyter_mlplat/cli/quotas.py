"""`mlplat quota`."""

from typing import TYPE_CHECKING

import typer

from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import show_json
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.quotas.models import Quota

app = typer.Typer(help="Quotas: how much you may have.", no_args_is_help=True)


@app.callback()
def _quota() -> None:
    pass


@app.command()
def show(as_json: Json = False) -> None:
    """Show what you use and how much of it you may."""
    with platform() as client:
        found = client.quotas.list()
    if as_json:
        show_json(found)
        return
    columns: list[Column[Quota]] = [
        Column("QUOTA", lambda row: f"{row.noun}s"),
        Column("USED", lambda row: str(row.used), right=True),
        Column("LIMIT", lambda row: str(row.limit), right=True),
    ]
    show_table(found, columns, empty="No quota is set.")
