"""`mlplat storage`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli import endpoints
from jupyter_mlplat.cli.asking import confirm
from jupyter_mlplat.cli.formats import count, exact, relative, size
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import note, say, show_fields, show_json
from jupyter_mlplat.cli.progress import byte_bar
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.sdk.copying import Copied
    from jupyter_mlplat.storage.models import Endpoint, ObjectInfo

LOCAL = "local"

app = typer.Typer(help="Object storage; paths look like obs://bucket/folder/file.", no_args_is_help=True)
app.add_typer(endpoints.app, name="endpoint")

Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="With all that lies below.")]
Url = Annotated[str, typer.Argument(metavar="URL", help="obs://BUCKET/KEY")]


@app.command("ls")
def ls(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="obs://BUCKET/FOLDER; none: buckets.")] = None,
    recursive: Recursive = False,
    as_json: Json = False,
) -> None:
    """List buckets, or the objects and folders below a path."""
    with platform() as client:
        if url is None:
            _show_buckets(client.storage_endpoints.list(), as_json)
            return
        found = list(client.storage.list(url, recursive=recursive))
    if as_json:
        show_json(found)
        return
    columns: list[Column[ObjectInfo]] = [
        Column("SIZE", lambda row: "folder" if row.is_prefix else size(row.size), right=True),
        Column("MODIFIED", lambda row: relative(row.modified_at) if not row.is_prefix else ""),
        Column("PATH", lambda row: f"obs://{row.key}"),
    ]
    show_table(found, columns, empty=f"There is nothing below {url}.")


@app.command("cp")
def cp(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file, a folder or obs://…")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same; one of the two is obs://…")],
    recursive: Recursive = False,
    as_json: Json = False,
) -> None:
    """Copy files to or from storage. A target that ends with / keeps the name; -r copies what lies below SOURCE.

    Broken off, the same command goes on with the large files that were under way.
    """
    with platform() as client, byte_bar("Copying", as_json) as show:
        copied = client.storage.copy(source, target, recursive=recursive, told=show)
    _say_copied("Copied", copied, as_json)


@app.command("sync")
def sync(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A folder or obs://BUCKET/FOLDER")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same; one of the two is obs://…")],
    delete: Annotated[bool, typer.Option("--delete", help="Delete in TARGET what SOURCE lacks.")] = False,
    as_json: Json = False,
) -> None:
    """Make a folder like another: copy what has another size there, or is younger here."""
    with platform() as client, byte_bar("Copying", as_json) as show:
        copied = client.storage.sync(source, target, delete=delete, told=show)
    _say_copied("Synced", copied, as_json)


@app.command("rm")
def rm(url: Url, recursive: Recursive = False, yes: Yes = False, as_json: Json = False) -> None:
    """Delete an object, or with -r all below a path."""
    with platform() as client:
        if recursive:
            number = sum(1 for _ in client.storage.list(url, recursive=True))
            confirm(f"This deletes {count(number, 'object')} below {url}.", "Delete them?", yes)
        deleted = client.storage.remove(url, recursive=recursive)
    if as_json:
        show_json({"deleted": deleted})
    else:
        say(f"Deleted {count(deleted, 'object')}.")


@app.command("stat")
def stat(url: Url, as_json: Json = False) -> None:
    """Show size and time of an object."""
    with platform() as client:
        found = client.storage.stat(url)
    if as_json:
        show_json(found)
    else:
        show_fields(
            [
                ("Object", f"obs://{found.key}"),
                ("Size", f"{size(found.size)} ({found.size} bytes)"),
                ("Modified", f"{relative(found.modified_at)} ({exact(found.modified_at)})"),
            ]
        )


@app.command("presign")
def presign(
    url: Url,
    expires_in: Annotated[
        int, typer.Option("--expires-in", metavar="SECONDS", min=60, max=7 * 86400, help="How long it is good for.")
    ] = 3600,
    as_json: Json = False,
) -> None:
    """Print a link to an object at an S3 endpoint: whoever has it gets the object, without a login."""
    with platform() as client:
        link = client.storage.link(url, expires_in)
    if as_json:
        show_json(link)
    else:
        say(link.url)
        note(f"Good until {exact(link.expires_at)}.")


@app.command("mb")
def mb(
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Its name, or obs://NAME.")],
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="NAME", help="Where; else the built-in store.")
    ] = LOCAL,
    as_json: Json = False,
) -> None:
    """Make a bucket."""
    name = bucket.removeprefix("obs://").removeprefix("s3://").rstrip("/")
    with platform() as client:
        client.storage.make_bucket(name, endpoint)
    if as_json:
        show_json({"bucket": name})
    else:
        say(f"obs://{name} is made.")


def _show_buckets(known: "list[Endpoint]", as_json: bool) -> None:
    buckets = [(bucket, place.name) for place in known for bucket in place.buckets]
    if as_json:
        show_json([{"bucket": bucket, "endpoint": name} for bucket, name in buckets])
        return
    columns: list[Column[tuple[str, str]]] = [
        Column("BUCKET", lambda row: f"obs://{row[0]}"),
        Column("ENDPOINT", lambda row: row[1]),
    ]
    show_table(buckets, columns, empty="No bucket yet. Make one: mlplat storage mb NAME")


def _say_copied(verb: str, copied: "Copied", as_json: bool) -> None:
    if as_json:
        show_json({"files": copied.files, "size": copied.size})
    else:
        say(f"{verb} {count(copied.files, 'file')} ({size(copied.size)}).")
