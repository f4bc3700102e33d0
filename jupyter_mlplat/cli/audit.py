"""`mlplat audit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.formats import exact, state
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import show_json
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.audit.models import AuditRecord

app = typer.Typer(help="Audit: who did what.", no_args_is_help=True)


@app.callback()
def _audit() -> None:
    pass


@app.command("list")
def list_(
    actor: Annotated[str | None, typer.Option(metavar="USER", help="What this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as instance:create.")] = None,
    noun: Annotated[str | None, typer.Option(help="Such as image.")] = None,
    resource: Annotated[str | None, typer.Option(metavar="ID", help="What was done to this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List audit records, the latest first: your own, or all for an administrator."""
    with platform() as client:
        found = client.audit.list(actor=actor, action=action, noun=noun, resource_id=resource, limit=limit)
    if as_json:
        show_json(found)
        return
    columns: list[Column[AuditRecord]] = [
        Column("TIME", lambda row: exact(row.at)),
        Column("WHO", lambda row: row.actor if row.via == "user" else f"{row.actor} ({row.via})"),
        Column("ACTION", lambda row: row.action),
        Column("ON", lambda row: row.resource_name or row.resource_id, long=True),
        Column("RESULT", lambda row: state(row.result)),
        Column("FROM", lambda row: row.source or "-", extra=True),
        Column("DETAIL", lambda row: row.detail, long=True),
    ]
    show_table(found, columns, empty="No record matches.")
