"""`mlplat image`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.arguments import one_of
from jupyter_mlplat.cli.asking import confirm, leaving
from jupyter_mlplat.cli.formats import exact, relative, size, state
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import say, show_fields, show_json
from jupyter_mlplat.cli.progress import spinner
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.images.models import Image, Package, SaveProgress
    from jupyter_mlplat.sdk import Client

app = typer.Typer(help="Images: presets, and environments saved from instances.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="IMAGE", help="NAME (its newest tag), NAME:TAG or an id.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option(help="Part of NAME:TAG.")] = None,
    origin: Annotated[str | None, typer.Option(help="PRESET or IMAGE_SAVE.")] = None,
    as_json: Json = False,
) -> None:
    """List the images that you can use."""
    from jupyter_mlplat.images.models import Origin

    wanted = one_of(Origin, origin, "--origin")
    with platform() as client:
        found = client.images.list(name=name, origin=wanted)
    if as_json:
        show_json(found)
        return
    columns: list[Column[Image]] = [
        Column("IMAGE", lambda row: f"{row.name}:{row.tag}", long=True),
        Column("STATE", lambda row: state(row.status.value)),
        Column("ORIGIN", _origin, long=True, extra=True),
        Column("SIZE", lambda row: size(row.size) if row.size else "-", right=True),
        Column("CREATED", lambda row: relative(row.created_at), extra=True),
        Column("ID", lambda row: row.id, extra=True),
    ]
    show_table(found, columns, empty="No image matches.")


@app.command()
def show(image: Reference, as_json: Json = False) -> None:
    """Show one image with the Python packages in it."""
    with platform() as client:
        found = client.images.get(client.images.find(image).id)
    if as_json:
        show_json(found)
        return
    added = f" ({size(found.added)} of its own)" if found.added else ""
    show_fields(
        [
            ("Image", f"{found.name}:{found.tag}"),
            ("Id", found.id),
            ("State", state(found.status.value)),
            ("", found.status_message),
            ("Description", found.description),
            ("Owner", found.owner),
            ("Origin", _origin(found)),
            ("Size", f"{size(found.size)}{added}" if found.size else ""),
            ("Digest", found.digest or ""),
            ("Parent", found.parent_digest or ""),
            ("For", ", ".join(found.resource_categories)),
            ("Created", f"{relative(found.created_at)} ({exact(found.created_at)})"),
        ]
    )
    if found.packages:
        say(f"\n{len(found.packages)} packages")
        columns: list[Column[Package]] = [
            Column("PACKAGE", lambda row: row.name),
            Column("VERSION", lambda row: row.version),
        ]
        show_table(found.packages, columns, empty="")


@app.command()
def delete(image: Reference, yes: Yes = False, as_json: Json = False) -> None:
    """Delete an image that nothing uses."""
    with platform() as client:
        found = client.images.find(image)
        confirm(f"This deletes the image {found.name}:{found.tag} for good.", "Delete it?", yes)
        found = client.images.delete(found.id)
    if as_json:
        show_json(found)
    else:
        say(f"{found.name}:{found.tag} is deleted.")


def settle(client: "Client", image: "Image", quiet: bool) -> "Image":
    """The image once it is saved, with its progress on a terminal."""
    full_name = f"{image.name}:{image.tag}"
    left = f"The save goes on. See how far it is: mlplat image show {full_name}"
    with leaving(left), spinner(f"Saving {full_name}", quiet) as say_progress:

        def seen(now: "Image") -> None:
            if now.progress is not None:
                say_progress(f"Saving {full_name}: {_progress(now.progress)}")

        return client.images.wait(image.id, seen=seen)


def told(image: "Image", saved: bool, as_json: bool) -> None:
    """What came of a save."""
    full_name = f"{image.name}:{image.tag}"
    if as_json:
        show_json(image)
    elif saved:
        added = f", {size(image.added)} of its own" if image.added else ""
        say(f"Saved {full_name} ({size(image.size)}{added}). Use it: mlplat instance create NAME --image {full_name}")
    else:
        say(f"{full_name} is being saved. See how far it is: mlplat image show {full_name}")


def _origin(image: "Image") -> str:
    return {"PRESET": "preset", "CUSTOMIZE": "registered"}.get(image.origin, f"saved from {image.instance_name or '-'}")


def _progress(progress: "SaveProgress") -> str:
    if not progress.total:
        return progress.message
    return f"{size(progress.done)} of {size(progress.total)}"
