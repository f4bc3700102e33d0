"""`mlplat env`: the environments of the instance in whose terminal it runs."""

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_mlplat.cli.asking import INTERRUPTED, confirm
from jupyter_mlplat.cli.formats import count, size
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import note, say, show_json
from jupyter_mlplat.cli.tables import Column, show_table
from jupyter_mlplat.errors import BackendFailure, NotFound

if TYPE_CHECKING:
    from jupyter_mlplat.environments.files import File
    from jupyter_mlplat.environments.listing import Environment

app = typer.Typer(help="Environments inside the instance in whose terminal you are.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 lower-case letters, digits, - or _.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the environments, the instance's own first."""
    from jupyter_mlplat.environments.listing import listing

    runtime = _runtime()
    found = listing(Path(runtime["environment"]), str((runtime.get("image") or {}).get("name") or ""))
    if as_json:
        show_json([vars(each) for each in found])
        return
    columns: list[Column[Environment]] = [
        Column("NAME", lambda row: row.name, long=True),
        Column("KIND", lambda row: row.kind),
        Column("PYTHON", lambda row: row.python or "-"),
        Column("PACKAGES", lambda row: str(row.packages), right=True),
        Column("SIZE", lambda row: size(row.size), right=True),
        Column("KERNEL", lambda row: row.kernel or "none", extra=True),
        Column("FROM", lambda row: row.source, long=True, extra=True),
    ]
    show_table(found, columns, empty="There is none.")


@app.command()
def files(as_json: Json = False) -> None:
    """List the files that an environment can be made from: the platform's, and yours in the work folder."""
    from jupyter_mlplat.environments.files import available

    found = available(_work())
    if as_json:
        show_json([vars(each) for each in found])
        return
    columns: list[Column[File]] = [
        Column("FILE", lambda row: row.name, long=True),
        Column("FOR", lambda row: row.kind),
        Column("DESCRIPTION", lambda row: row.description, long=True, extra=True),
    ]
    show_table(found, columns, empty="There is none. Write a requirements.txt.")


@app.command()
def create(
    name: Name,
    file: Annotated[str, typer.Argument(metavar="FILE", help="requirements.txt, *.toml, *.yml or platform:NAME.")],
    as_json: Json = False,
) -> None:
    """Make an environment from a file. Its kernel appears in Lab."""
    from jupyter_mlplat.environments.files import SHIPPED, find

    path = find(_work(), file) if file.startswith(SHIPPED) else Path(file).resolve()
    if not path.is_file():
        raise NotFound(f"There is no file {file}. See `mlplat env files`.")
    _make("create", name, as_json, file=path, source=file)


@app.command()
def clone(
    name: Name,
    original: Annotated[str, typer.Argument(metavar="ORIGINAL", help="The one to copy; base: the instance's own.")],
    as_json: Json = False,
) -> None:
    """Make NAME a copy of another environment."""
    _make("clone", name, as_json, original=original)


@app.command()
def remove(name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Remove an environment with its packages and its kernel."""
    from jupyter_mlplat.environments.places import BASE, folder_of
    from jupyter_mlplat.environments.places import remove as remove_environment

    environment = Path(_runtime()["environment"])
    folder_of(environment, name)
    if name != BASE:
        confirm(f"This removes {name} with its packages; notebooks stay.", "Remove it?", yes)
    remove_environment(environment, name)
    if as_json:
        show_json({"name": name})
    else:
        say(f"{name} is removed.")


def _make(verb: str, name: str, as_json: bool, **arguments: str | Path) -> None:
    from jupyter_mlplat.environments.listing import listing
    from jupyter_mlplat.environments.places import check_free

    environment = Path(_runtime()["environment"])
    check_free(environment, name)
    _run(verb, environment=environment, name=name, **arguments)
    made = next(each for each in listing(environment, "") if each.name == name)
    if as_json:
        show_json(vars(made))
    else:
        say(f"{name} is ready: Python {made.python}, {count(made.packages, 'package')}, {size(made.size)}.")


def _run(verb: str, **arguments: str | Path) -> None:
    """Run the worker, and say on stderr what it says; Ctrl-C lets it clear away first."""
    from jupyter_mlplat.environments.apart import BROKE_OFF, command, heard

    with subprocess.Popen(command(verb, **arguments), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if (words := heard(line)) is None:
                    return
                note(words)
        except KeyboardInterrupt:
            process.wait()
            note("Cancelled; nothing is left of it.")
            raise typer.Exit(INTERRUPTED) from None
    raise BackendFailure(BROKE_OFF)


def _runtime() -> dict[str, Any]:
    from jupyter_mlplat.server_extension.environment import read_runtime

    if "MLPLAT_RUNTIME" not in os.environ:
        raise NotFound(
            "Environments are those of one instance: run this in its terminal, "
            "or as `mlplat instance exec INSTANCE -- mlplat env …`."
        )
    return read_runtime()


def _work() -> Path:
    return Path(os.environ.get("MLPLAT_WORK") or Path.cwd())
