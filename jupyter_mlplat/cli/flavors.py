"""`mlplat flavor`."""

from typing import TYPE_CHECKING

import typer

from jupyter_mlplat.cli.formats import Marked, size, state
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import show_json
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.flavors.models import FlavorOffer

app = typer.Typer(help="Flavors: what an instance or a job may use of the machine.", no_args_is_help=True)


@app.callback()
def _flavor() -> None:
    pass


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the flavors, and which of them can be had now."""
    with platform() as client:
        found = client.flavors.list()
    if as_json:
        show_json(found)
        return
    columns: list[Column[FlavorOffer]] = [
        Column("FLAVOR", lambda row: row.id),
        Column("CPU", lambda row: f"{row.vcpus}", right=True),
        Column("MEMORY", lambda row: size(row.memory_mib * 1024**2), right=True),
        Column("ACCELERATOR", _accelerator),
        Column("NOW", _availability),
        Column("ENFORCED", lambda row: ", ".join(row.enforced) or "-", extra=True),
    ]
    show_table(found, columns, empty="The catalogue of flavors is empty.")


def _accelerator(flavor: "FlavorOffer") -> str:
    device = flavor.accelerator
    return f"{device.count}× {device.type}" if device else "-"


def _availability(flavor: "FlavorOffer") -> Marked:
    if not flavor.sold_out:
        return Marked("● Free", "green")
    mark = state("SOLD OUT")
    return Marked(f"{mark.text}: {flavor.reason}" if flavor.reason else mark.text, mark.style)
