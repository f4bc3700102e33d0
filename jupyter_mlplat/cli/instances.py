"""`mlplat instance`."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.arguments import one_of
from jupyter_mlplat.cli.asking import confirm, leaving
from jupyter_mlplat.cli.formats import exact, relative, state
from jupyter_mlplat.cli.formats import size as format_size
from jupyter_mlplat.cli.options import Flavor, Image, Json, Wait, Yes
from jupyter_mlplat.cli.output import note, on_terminal, raw_writer, say, show_fields, show_json
from jupyter_mlplat.cli.progress import StepLines, spinner
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.instances.models import Instance, Tag
    from jupyter_mlplat.sdk import Client

app = typer.Typer(help="Instances: a JupyterLab of your own each.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, - and _.")],
    image: Image = None,
    flavor: Flavor = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be given several times.")] = None,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Create an instance and start it."""
    tags = _tags(tag or [])
    with platform() as client:
        instance = client.instances.create(name, image=image, flavor=flavor, description=description, tags=tags)
        if wait:
            instance = _settle(client, instance, f"{name} goes on starting: mlplat instance show {name}", as_json)
    if as_json:
        show_json(instance)
    elif wait:
        say(f"{name} is running. Open it: mlplat instance open {name}")
    else:
        say(f"{name} is being created. See how far it is: mlplat instance show {name}")


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    status: Annotated[str | None, typer.Option(help="Such as RUNNING.")] = None,
    flavor: Annotated[str | None, typer.Option(metavar="FLAVOR", help="Of this flavor.")] = None,
    tag: Annotated[str | None, typer.Option(metavar="KEY[=VALUE]", help="With this tag.")] = None,
    as_json: Json = False,
) -> None:
    """List your instances (an administrator's list holds everybody's)."""
    from jupyter_mlplat.instances.models import Status

    wanted = one_of(Status, status, "--status")
    with platform() as client:
        found = client.instances.list(name=name, status=wanted, flavor=flavor, tag=tag)
    if as_json:
        show_json(found)
    else:
        show_table(found, _columns(found), empty="No instance yet. Create one: mlplat instance create NAME")


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show one instance with its steps and events."""
    with platform() as client:
        instance = client.instances.find(name)
        events = client.instances.events(instance.id) if not as_json else []
    if as_json:
        show_json(instance)
        return
    show_fields(
        [
            ("Name", instance.name),
            ("Id", instance.id),
            ("State", state(instance.status.value)),
            ("", instance.status_message),
            ("Owner", instance.owner),
            ("Description", instance.description),
            ("Image", instance.image_name),
            ("Flavor", _flavor(instance)),
            ("Work folder", _work(instance)),
            ("Tags", ", ".join(f"{tag.key}={tag.value}" if tag.value else tag.key for tag in instance.tags)),
            ("Created", f"{relative(instance.created_at)} ({exact(instance.created_at)})"),
            ("Last activity", relative(instance.last_activity)),
        ]
    )
    if events:
        say("\nEvents")
        for event in events[-12:]:
            say(f"  {exact(event.at)}  {event.message}")


@app.command()
def start(name: Name, wait: Wait = False, as_json: Json = False) -> None:
    """Start a stopped instance."""
    with platform() as client:
        instance = client.instances.start(client.instances.find(name).id)
        if wait:
            instance = _settle(client, instance, f"{name} goes on starting.", as_json)
    _tell(instance, "is running" if wait else "is starting", as_json)


@app.command()
def stop(name: Name, wait: Wait = False, as_json: Json = False) -> None:
    """Stop an instance; its kernels end, its files and packages stay."""
    with platform() as client:
        instance = client.instances.stop(client.instances.find(name).id)
        if wait:
            instance = _settle(client, instance, f"{name} goes on stopping.", as_json)
    _tell(instance, "is stopped" if wait else "is stopping", as_json)


@app.command()
def switch(
    name: Name,
    flavor: Annotated[str | None, typer.Option(metavar="FLAVOR", help="The new flavor.")] = None,
    image: Image = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Switch to another flavor or image: at once where that is possible, else with a restart, which is asked for."""
    if flavor is None and image is None:
        raise typer.BadParameter("Say what to switch to: --flavor, --image or both.")
    with platform() as client:
        before = client.instances.find(name)
        restarts = _restarts(client, before, flavor, image)
        if restarts:
            confirm(f"This restarts {before.name}: its kernels end, its files stay.", "Restart and switch?", yes)
        instance = client.instances.switch(before.id, flavor=flavor, image=image, restart=restarts)
        instance = _settle(client, instance, f"The switch of {name} goes on.", as_json)
        if flavor is not None and instance.flavor != flavor:
            _refused_switch(client, instance)
    running = "without a restart" if instance.status == "RUNNING" and not restarts else ""
    what = " and ".join(filter(None, [flavor and instance.flavor, image and instance.image_name]))
    _tell(instance, f"is switched to {what} {running}".rstrip(), as_json)


@app.command()
def grow(
    name: Name,
    size: Annotated[int, typer.Option(min=1, metavar="GIB", help="The new size of the work folder, in GiB.")],
    as_json: Json = False,
) -> None:
    """Let an instance's work folder grow, where the storage of the platform can do that."""
    with platform() as client:
        instance = client.instances.update(client.instances.find(name).id, work_gib=size)
    _tell(instance, f"gets a work folder of {size} GiB", as_json)


@app.command("open")
def open_(
    name: Name,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser where there is one.")] = True,
    as_json: Json = False,
) -> None:
    """Print the address of an instance's JupyterLab, and open it where there is a display."""
    with platform() as client:
        instance = client.instances.find(name)
        url = client.instances.address(instance)
    if as_json:
        show_json({"id": instance.id, "status": instance.status.value, "url": url})
        return
    say(url)
    if instance.status != "RUNNING":
        note(f"It is not running ({instance.status.value}). Start it: mlplat instance start {instance.name}")
    elif browser and _has_display():
        typer.launch(url)


@app.command()
def delete(name: Name, yes: Yes = False, wait: Wait = False, as_json: Json = False) -> None:
    """Delete an instance with its files; saved images and jobs stay."""
    with platform() as client:
        instance = client.instances.find(name)
        what = f"This deletes {instance.name} with all files in it. Saved images and jobs stay."
        confirm(what, "Delete it?", yes)
        instance = client.instances.delete(instance.id)
        if wait:
            instance = _settle(client, instance, f"{name} goes on being deleted.", as_json)
    _tell(instance, "is deleted" if wait else "is being deleted", as_json)


@app.command("exec")
def exec_(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")],
    cwd: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where, below the work folder.")] = None,
    as_json: Json = False,
) -> None:
    """Run a command in an instance's environment; the exit status is the command's own."""
    out, err = bytearray(), bytearray()
    stdout, stderr = (out.extend, err.extend) if as_json else (raw_writer(sys.stdout), raw_writer(sys.stderr))
    with platform() as client, leaving("The command was left; it ends with its connection."):
        instance = client.instances.find(name)
        code = client.instances.exec(instance.id, command, cwd=cwd, stdout=stdout, stderr=stderr)
    if as_json:
        text = {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
        show_json({"exit_code": code, **text})
    raise typer.Exit(code)


@app.command("save-image")
def save_image(
    name: Name,
    image_name: Annotated[str, typer.Option("--name", metavar="N", help="Lower-case letters, digits and . _ -")] = "",
    tag: Annotated[str, typer.Option("--tag", metavar="T", help="Such as v1.")] = "",
    description: Annotated[str, typer.Option(help="What is in it.")] = "",
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Leave out what changed there; may be given several times."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be in it, and save nothing.")] = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Save the environment of a running instance as an image. Its kernels keep running meanwhile."""
    from jupyter_mlplat.cli.images import settle, show_preview, told

    if not preview and not (image_name and tag):
        raise typer.BadParameter("Say what to save it as: --name and --tag. Or look first: --preview.")
    with platform() as client:
        instance = client.instances.find(name)
        if preview:
            show_preview(client.instances.preview_image(instance.id, exclude or []), as_json)
            return
        image = client.instances.save_image(instance.id, image_name, tag, description, exclude or [])
        if wait:
            image = settle(client, image, as_json)
    told(image, saved=wait, as_json=as_json)


def _columns(found: "list[Instance]") -> "list[Column[Instance]]":
    columns: list[Column[Instance]] = [
        Column("NAME", lambda row: row.name, long=True),
        Column("STATE", lambda row: state(row.status.value)),
        Column("IMAGE", lambda row: row.image_name, long=True),
        Column("FLAVOR", _flavor),
        Column("CREATED", lambda row: relative(row.created_at), extra=True),
        Column("ID", lambda row: row.id, extra=True),
    ]
    if len({row.owner for row in found}) > 1:
        columns.insert(1, Column("OWNER", lambda row: row.owner))
    return columns


def _work(instance: "Instance") -> str:
    if instance.work is None:
        return ""
    used, whole = instance.work.used_bytes, instance.work.size_bytes
    return f"{format_size(used)} of {format_size(whole)} ({instance.work.share:.0%} full)"


def _flavor(instance: "Instance") -> str:
    return f"{instance.flavor} → {instance.target_flavor}" if instance.target_flavor else instance.flavor


def _settle(client: "Client", instance: "Instance", left: str, quiet: bool) -> "Instance":
    with leaving(left), spinner(f"{instance.name} …", quiet) as say_progress:
        lines = None if quiet else StepLines(instance.updated_at, say_progress)
        return client.instances.wait(instance.id, seen=lines)


def _restarts(client: "Client", instance: "Instance", flavor: str | None, image: str | None) -> bool:
    if instance.status != "RUNNING":
        return False
    if image is not None and client.images.find(image).id != instance.image_id:
        return True
    choices = client.instances.flavors(instance.id) if flavor else []
    return any(choice.effect == "restart" for choice in choices if choice.flavor.id == flavor)


def _refused_switch(client: "Client", instance: "Instance") -> None:
    from jupyter_mlplat.errors import BackendFailure

    why = [event.message for event in client.instances.events(instance.id) if event.type.endswith("Failed")]
    raise BackendFailure(f"{instance.name} was not switched. {why[-1] if why else ''}".rstrip())


def _tell(instance: "Instance", what: str, as_json: bool) -> None:
    if as_json:
        show_json(instance)
    else:
        say(f"{instance.name} {what}.")


def _tags(given: list[str]) -> "list[Tag]":
    from jupyter_mlplat.instances.models import Tag

    return [Tag(key=key, value=value) for key, _, value in (text.partition("=") for text in given)]


def _has_display() -> bool:
    shown = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and on_terminal()
