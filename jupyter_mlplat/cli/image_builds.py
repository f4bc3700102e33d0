"""`mlplat image`: building from a Containerfile, and the logs of that."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.arguments import one_of, pairs
from jupyter_mlplat.cli.asking import leaving
from jupyter_mlplat.cli.formats import size
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import note, say, show_json, show_json_line
from jupyter_mlplat.cli.progress import byte_bar, spinner
from jupyter_mlplat.cli.session import platform

if TYPE_CHECKING:
    from jupyter_mlplat.images.models import Image
    from jupyter_mlplat.sdk import Client

FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the commands of builds."""
    for command in (build, logs):
        app.command()(command)


def build(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="It goes to the builder, less .mlplatignore.")],
    name: Annotated[str, typer.Option(help="What to call the image.")],
    tag: Annotated[str, typer.Option(help="Its tag.")],
    file: Annotated[
        str | None, typer.Option(metavar="PATH", help="The Containerfile in FOLDER; else Containerfile or Dockerfile.")
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Option("--build-arg", metavar="NAME=VALUE", help="A value for an ARG; may be repeated.")
    ] = None,
    description: Annotated[str, typer.Option()] = "",
    categories: Annotated[
        list[str] | None, typer.Option("--for", help="CPU, GPU or ASCEND; else as the image below.")
    ] = None,
    services: Annotated[list[str] | None, typer.Option("--service", help="NOTEBOOK, SSH or TRAIN.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the log; status 1 unless it is built.")] = False,
    as_json: Json = False,
) -> None:
    """Build an image from the Containerfile of a folder."""
    from jupyter_mlplat.flavors.models import Category
    from jupyter_mlplat.images.models import Service

    with platform() as client:
        with byte_bar("Sending", as_json) as sent:
            image = client.images.build(
                folder,
                name,
                tag,
                file=file,
                description=description,
                categories=[kind for one in categories or [] if (kind := one_of(Category, one, "--for"))],
                arguments=pairs(arguments or [], "--build-arg"),
                services=[use for one in services or [] if (use := one_of(Service, one, "--service"))],
                sent=sent,
            )
        if wait:
            image = _follow_to_end(client, image, as_json)
    if as_json:
        show_json(image)
    elif not wait:
        say(f"{image.full_name} is being built. Follow it: mlplat image logs -f {image.full_name}")
    if wait and image.status != "ACTIVE":
        raise typer.Exit(FAILED)


def logs(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="NAME (its newest tag), NAME:TAG or an id.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the build ends.")] = False,
    as_json: Json = False,
) -> None:
    """Print the log of a build. With --json and -f each piece is a line {"text": …}."""
    with platform() as client:
        found = client.images.find(image)
        pieces = client.images.log(found.id, follow=follow)
        with leaving(_goes_on(found)):
            if as_json and not follow:
                show_json({"image_id": found.id, "log": "".join(pieces)})
                return
            for piece in pieces:
                _write(piece, as_json)


def _follow_to_end(client: "Client", image: "Image", quiet: bool) -> "Image":
    """The image once its build has ended; meanwhile the log goes to stdout (nowhere where `quiet`)."""
    with leaving(_goes_on(image)):
        pieces = client.images.log(image.id, follow=True)
        if quiet:
            for _ in pieces:
                pass
        else:
            _print(pieces, image)
    ended = client.images.get(image.id)
    if not quiet:
        note(_what_came_of(ended))
    return ended


def _print(pieces: Iterator[str], image: "Image") -> None:
    with spinner(f"Waiting for the first line of {image.full_name}"):
        first = next((piece for piece in pieces if piece), "")
    _write(first, False)
    for piece in pieces:
        _write(piece, False)


def _what_came_of(image: "Image") -> str:
    if image.status != "ACTIVE":
        return f"{image.full_name} was not built: {image.status_message}"
    use = f"mlplat instance create NAME --image {image.full_name}"
    return f"{image.full_name} is ready ({size(image.size)}, {size(image.added)} of its own). Use it: {use}"


def _write(piece: str, as_json: bool) -> None:
    if as_json:
        if piece:
            show_json_line({"text": piece})
        return
    sys.stdout.write(piece)
    sys.stdout.flush()


def _goes_on(image: "Image") -> str:
    return f"The build goes on. Follow it: mlplat image logs -f {image.full_name}"
