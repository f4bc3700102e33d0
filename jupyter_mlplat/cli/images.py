"""`mlplat image`."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli import image_builds
from jupyter_mlplat.cli.arguments import one_of
from jupyter_mlplat.cli.asking import confirm, leaving
from jupyter_mlplat.cli.formats import exact, relative, size, state
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import say, show_fields, show_json
from jupyter_mlplat.cli.progress import spinner
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table
from jupyter_mlplat.errors import InvalidInput

if TYPE_CHECKING:
    from jupyter_mlplat.advisories.models import Vulnerability
    from jupyter_mlplat.images.models import Image, ImageDetail, Package, PackageChanges, SavePreview, SaveProgress
    from jupyter_mlplat.sdk import Client

app = typer.Typer(help="Images: presets, environments saved from instances, and what is built.", no_args_is_help=True)
image_builds.add_to(app)

Reference = Annotated[str, typer.Argument(metavar="IMAGE", help="NAME (its newest tag), NAME:TAG or an id.")]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option(help="Part of NAME:TAG.")] = None,
    origin: Annotated[str | None, typer.Option(help="PRESET or IMAGE_SAVE.")] = None,
    status: Annotated[str | None, typer.Option(help="Such as ACTIVE.")] = None,
    visibility: Annotated[str | None, typer.Option(help="PRIVATE, GROUP or PUBLIC.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="USER", help="Of this user.")] = None,
    category: Annotated[str | None, typer.Option("--for", help="CPU, GPU or ASCEND.")] = None,
    service: Annotated[str | None, typer.Option(help="NOTEBOOK, SSH or TRAIN.")] = None,
    arch: Annotated[str | None, typer.Option(help="x86_64 or aarch64.")] = None,
    package: Annotated[str | None, typer.Option(metavar="NAME", help="With this Python package in it.")] = None,
    outdated: Annotated[bool, typer.Option("--outdated", help="Saved on a preset that is another one now.")] = False,
    as_json: Json = False,
) -> None:
    """List the images that you can use."""
    from jupyter_mlplat.flavors.models import Category
    from jupyter_mlplat.images.models import ImageStatus, Origin, Service, Visibility

    with platform() as client:
        found = client.images.list(
            name=name,
            origin=one_of(Origin, origin, "--origin"),
            status=one_of(ImageStatus, status, "--status"),
            visibility=one_of(Visibility, visibility, "--visibility"),
            owner=owner,
            category=one_of(Category, category, "--for"),
            service=one_of(Service, service, "--service"),
            arch=arch,
            package=package,
            outdated=outdated or None,
        )
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
    if any(map(upkeep, found)):
        columns.insert(4, Column("UPKEEP", upkeep, long=True))
    show_table(found, columns, empty="No image matches.")


@app.command()
def show(image: Reference, as_json: Json = False) -> None:
    """Show one image: what is in it, what it stands on and what changed since, who uses it."""
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
            ("Source", found.source),
            ("Size", f"{size(found.size)}{added}" if found.size else ""),
            ("Notebook", found.notebook or ""),
            ("Digest", found.digest or ""),
            ("Stands on", " → ".join(parent.name for parent in found.parents)),
            ("Upkeep", upkeep(found)),
            ("Vulnerable", _vulnerable(found)),
            ("For", f"{', '.join(found.resource_categories)} on {', '.join(found.architectures)}"),
            ("Services", ", ".join(found.services)),
            ("Seen by", _seen_by(found)),
            ("Used by", ", ".join(use.name or f"one of {use.owner}" for use in found.used_by)),
            ("Created", f"{relative(found.created_at)} ({exact(found.created_at)})"),
        ]
    )
    if found.changes is not None:
        say(f"\nSince {found.parent_name}")
        _show_changes(found.changes)
    if found.vulnerabilities:
        say("\nKnown vulnerabilities")
        for one in found.vulnerabilities:
            _show_vulnerability(one)
    if found.layers:
        say(f"\n{len(found.layers)} layers")
        for layer in found.layers:
            say(f"  {size(layer.size):>10}  {layer.digest[7:19]}  {layer.step}")
    if found.packages:
        say(f"\n{len(found.packages)} packages")
        columns: list[Column[Package]] = [
            Column("PACKAGE", lambda row: row.name),
            Column("VERSION", lambda row: row.version),
        ]
        show_table(found.packages, columns, empty="")


@app.command()
def register(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="HOST/REPOSITORY:TAG, in a registry that is allowed.")
    ],
    name: Annotated[str, typer.Option(help="What to call it here.")],
    tag: Annotated[str, typer.Option(help="Its tag here.")],
    description: Annotated[str, typer.Option()] = "",
    categories: Annotated[list[str] | None, typer.Option("--for", help="CPU (the default), GPU or ASCEND.")] = None,
    services: Annotated[list[str] | None, typer.Option("--service", help="NOTEBOOK, SSH or TRAIN.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it can be used.")] = False,
    as_json: Json = False,
) -> None:
    """Take over an image that was built elsewhere: it is copied and looked at."""
    from jupyter_mlplat.flavors.models import Category
    from jupyter_mlplat.images.models import ImageRegister, Service

    given = {
        "resource_categories": [one_of(Category, one, "--for") for one in categories or []],
        "services": [one_of(Service, one, "--service") for one in services or []],
    }
    chosen = {field: values for field, values in given.items() if values}
    wanted = ImageRegister.model_validate(
        {"source": source, "name": name, "tag": tag, "description": description} | chosen
    )
    with platform() as client:
        found = client.images.register(wanted)
        if wait:
            found = settle(client, found, as_json, verb="Registering")
    if as_json:
        show_json(found)
    elif wait:
        name = found.full_name
        say(f"{name} is ready ({size(found.size)}). Use it: mlplat instance create NAME --image {name}")
    else:
        say(f"{found.full_name} is being registered. See how far it is: mlplat image show {found.full_name}")


@app.command()
def compare(
    image: Reference,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The image to hold beside it.")],
    as_json: Json = False,
) -> None:
    """Show how OTHER differs from IMAGE: packages and layers."""
    with platform() as client:
        found = client.images.compare(client.images.find(image).id, client.images.find(other).id)
    if as_json:
        show_json(found)
        return
    one, two = found.image, found.other
    say(f"{one.full_name} ({size(one.size)}) → {two.full_name} ({size(two.size)})")
    _show_changes(found.packages)
    shared = sum(layer.size for layer in found.shared_layers)
    own, others = (sum(layer.size for layer in layers) for layers in (found.own_layers, found.other_layers))
    say(
        f"  Layers: {size(shared)} in both, {size(own)} only in {one.full_name}, {size(others)} only in {two.full_name}"
    )


@app.command()
def share(
    image: Reference,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="GROUP", help="With the members of this group of yours alone; several times."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Take it back: for its owner alone again.")] = False,
    as_json: Json = False,
) -> None:
    """Let everybody on the platform, or groups of yours, see and use an image of yours."""
    from jupyter_mlplat.images.models import Visibility

    if private and groups:
        raise InvalidInput("It is either private or shared with groups: leave out --private or --group.")
    wanted = Visibility.PRIVATE if private else Visibility.GROUP if groups else Visibility.PUBLIC
    with platform() as client:
        found = client.images.update(client.images.find(image).id, visibility=wanted, groups=groups or [])
    if as_json:
        show_json(found)
    else:
        say(f"{found.full_name} can be seen and used by {_seen_by(found)}.")


def _seen_by(image: "Image") -> str:
    if image.visibility == "PUBLIC":
        return "everybody"
    return f"its owner and the members of {', '.join(image.groups)}" if image.groups else "its owner alone"


@app.command()
def cancel(image: Reference, as_json: Json = False) -> None:
    """Give up a save, a copy or a build that is under way; nothing of the image stays."""
    with platform() as client:
        found = client.images.cancel(client.images.find(image).id)
    if as_json:
        show_json(found)
    else:
        doing = "Building" if found.built else "Registering" if found.origin == "CUSTOMIZE" else "Saving"
        say(f"{doing} {found.full_name} is being given up.")


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


def settle(client: "Client", image: "Image", quiet: bool, verb: str = "Saving") -> "Image":
    """The image once it is made, with its progress on a terminal."""
    full_name = f"{image.name}:{image.tag}"
    left = f"The work goes on. See how far it is: mlplat image show {full_name}"
    with leaving(left), spinner(f"{verb} {full_name}", quiet) as say_progress:

        def seen(now: "Image") -> None:
            if now.progress is not None:
                say_progress(f"{verb} {full_name}: {_progress(now.progress)}")

        return client.images.wait(image.id, seen=seen)


def show_preview(preview: "SavePreview", as_json: bool) -> None:
    """What a save would put into the image."""
    if as_json:
        show_json(preview)
        return
    say(f"{size(preview.size)} in {preview.files} files would be added to {preview.parent_name}, before compression")
    _show_changes(preview.packages)
    if preview.folders:
        say("\nBiggest folders (--exclude PATH leaves one out)")
        for folder in preview.folders:
            say(f"  {size(folder.size):>10}  {folder.path}")
    say("\nStays out")
    for path in preview.left_out:
        say(f"  {size(path.size) if path.size else '-':>10}  {path.path}: {path.reason}")
    hidden = preview.left_out_count - len(preview.left_out)
    if hidden:
        say(f"  and {hidden} more")


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
    if image.built:
        return "built"
    return {"PRESET": "preset", "CUSTOMIZE": "registered"}.get(image.origin, f"saved from {image.instance_name or '-'}")


def upkeep(image: "Image") -> str:
    """What is to be known before an image is picked: that its base is another one now, or ends one day."""
    words = [f"{image.base_name} is another one now"] if image.outdated else []
    if image.retires_on:
        instead = f"; take {image.instead}" if image.instead else ""
        when = "retired since" if image.retired else "to be retired on"
        words.append(f"{when} {image.retires_on:%Y-%m-%d}{instead}")
    return ", ".join(words)


def _vulnerable(image: "ImageDetail") -> str:
    if image.vulnerabilities is None:
        return ""
    count = len({one.package for one in image.vulnerabilities})
    return f"{count} of {len(image.packages)} packages" if count else "no package that is known to be"


def _show_vulnerability(one: "Vulnerability") -> None:
    severity = f", {one.severity.lower()}" if one.severity else ""
    fixed = f"fixed in {one.fixed}" if one.fixed else "no fixed version known"
    say(f"  ! {one.package} {one.version}: {one.id}{severity}, {fixed}")
    if one.summary:
        say(f"    {one.summary}")


def _show_changes(changes: "PackageChanges") -> None:
    for package in changes.added:
        say(f"  + {package.name} {package.version}")
    for package in changes.removed:
        say(f"  - {package.name} {package.version}")
    for change in changes.changed:
        say(f"  ~ {change.name} {change.old} → {change.new}")
    if not (changes.added or changes.removed or changes.changed):
        say("  no package is different")
    else:
        say(f"  the same in both: {changes.same}")


def _progress(progress: "SaveProgress") -> str:
    if not progress.total:
        return progress.message
    speed = f", {size(progress.speed)}/s" if progress.speed else ""
    return f"{size(progress.done)} of {size(progress.total)}{speed}"
