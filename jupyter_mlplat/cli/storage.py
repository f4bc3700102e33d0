"""`mlplat storage`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.asking import confirm
from jupyter_mlplat.cli.formats import count, exact, relative, size
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import say, show_fields, show_json
from jupyter_mlplat.cli.progress import byte_bar
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.sdk import Client
    from jupyter_mlplat.sdk.copying import Copy
    from jupyter_mlplat.storage.models import Endpoint, ObjectInfo

app = typer.Typer(help="Object storage; paths look like obs://bucket/folder/file.", no_args_is_help=True)
endpoint = typer.Typer(help="Endpoints: where buckets are.", no_args_is_help=True)
app.add_typer(endpoint, name="endpoint")

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
            _show_buckets(client.storage.endpoints(), as_json)
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
    """Copy files to or from storage. A target that ends with / keeps the name; -r copies what lies below SOURCE."""
    with platform() as client:
        copies = client.storage.plan(source, target, recursive=recursive)
        _copy(client, copies, as_json)
    if as_json:
        show_json([{"source": str(item.source), "target": str(item.target), "size": item.size} for item in copies])
    else:
        say(f"Copied {count(len(copies), 'file')} ({size(sum(item.size for item in copies))}).")


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


@app.command("mb")
def mb(
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Its name, or obs://NAME.")], as_json: Json = False
) -> None:
    """Make a bucket."""
    name = bucket.removeprefix("obs://").removeprefix("s3://").rstrip("/")
    with platform() as client:
        client.storage.make_bucket(name)
    if as_json:
        show_json({"bucket": name})
    else:
        say(f"obs://{name} is made.")


@endpoint.callback()
def _endpoint() -> None:
    pass


@endpoint.command("list")
def endpoint_list(as_json: Json = False) -> None:
    """List the endpoints with their buckets."""
    with platform() as client:
        found = client.storage.endpoints()
    if as_json:
        show_json(found)
        return
    columns: list[Column[Endpoint]] = [
        Column("ENDPOINT", lambda row: row.name),
        Column("PROVIDER", lambda row: row.provider),
        Column("BUCKETS", lambda row: ", ".join(row.buckets) or "-"),
    ]
    show_table(found, columns, empty="There is no endpoint.")


def _show_buckets(endpoints: "list[Endpoint]", as_json: bool) -> None:
    buckets = [(bucket, place.name) for place in endpoints for bucket in place.buckets]
    if as_json:
        show_json([{"bucket": bucket, "endpoint": name} for bucket, name in buckets])
        return
    columns: list[Column[tuple[str, str]]] = [
        Column("BUCKET", lambda row: f"obs://{row[0]}"),
        Column("ENDPOINT", lambda row: row[1]),
    ]
    show_table(buckets, columns, empty="No bucket yet. Make one: mlplat storage mb NAME")


def _copy(client: "Client", copies: "list[Copy]", quiet: bool) -> None:
    total = sum(item.size for item in copies)
    done = 0
    with byte_bar("Copying", quiet) as show:

        def moved(length: int) -> None:
            nonlocal done
            done += length
            show(done, total)

        for item in copies:
            client.storage.carry_out(item, moved=moved)
