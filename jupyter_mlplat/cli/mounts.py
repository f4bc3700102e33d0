"""`mlplat mount`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.asking import leaving
from jupyter_mlplat.cli.formats import state
from jupyter_mlplat.cli.options import Json, Wait
from jupyter_mlplat.cli.output import note, say, show_json
from jupyter_mlplat.cli.progress import spinner
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.mounts.models import Mount
    from jupyter_mlplat.sdk import Client

app = typer.Typer(help="Mounts: folders of buckets that an instance sees as files.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The instance's name or id.")]


@app.command()
def add(
    name: Name,
    source: Annotated[str, typer.Argument(metavar="OBS", help="obs://BUCKET or obs://BUCKET/FOLDER.")],
    as_name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="What it is called there; else the last part of OBS.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Let nothing be written to it.")] = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Mount a folder of a bucket in a running instance."""
    with platform() as client:
        instance = client.instances.find(name)
        mount = client.mounts.create(instance.id, source, name=as_name, read_only=read_only)
        if wait:
            mount = _settle(client, mount, as_json)
    _tell(mount, f"{mount.source} is mounted at" if wait else f"{mount.source} is being mounted at", as_json)


@app.command("list")
def list_(name: Name, as_json: Json = False) -> None:
    """List what is mounted in an instance."""
    with platform() as client:
        found = client.mounts.list(client.instances.find(name).id)
    if as_json:
        show_json(found)
        return
    if found.absent:
        note(f"Nothing can be mounted here: {found.absent}.")
    show_table(found.mounts, _columns(), empty=f"Nothing is mounted. Mount a folder: mlplat mount add {name} obs://…")
    for mount in found.mounts:
        if mount.message:
            note(f"{mount.path}: {mount.message}")


@app.command()
def remove(
    name: Name,
    mount_name: Annotated[str, typer.Argument(metavar="MOUNT", help="Its name, path or id.")],
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Unmount a folder, once what was written to it is sent; what is in the bucket stays."""
    with platform() as client:
        mount = client.mounts.find(client.instances.find(name).id, mount_name)
        mount = client.mounts.remove(mount.instance_id, mount.id)
        if wait:
            mount = _settle(client, mount, as_json)
    _tell(mount, "Unmounted:" if wait else "Being unmounted:", as_json)


def _columns() -> "list[Column[Mount]]":
    return [
        Column("PATH", lambda row: row.path, long=True),
        Column("SOURCE", lambda row: row.source, long=True),
        Column("STATE", lambda row: state(row.status.value)),
        Column("WRITE", lambda row: "no" if row.read_only else "yes"),
        Column("ENDPOINT", lambda row: row.endpoint, extra=True),
    ]


def _settle(client: "Client", mount: "Mount", quiet: bool) -> "Mount":
    with leaving(f"{mount.path} goes on."), spinner(f"{mount.path} …", quiet) as say_progress:
        return client.mounts.wait(mount, seen=lambda one: say_progress(f"{one.path} … {one.message}".rstrip()))


def _tell(mount: "Mount", what: str, as_json: bool) -> None:
    if as_json:
        show_json(mount)
    else:
        say(f"{what} {mount.path}")
