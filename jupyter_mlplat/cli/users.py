"""`mlplat user`: who else may log in to the embedded platform."""

from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.asking import confirm
from jupyter_mlplat.cli.embedded import DataDir, default_data_dir
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import note, say, show_json
from jupyter_mlplat.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_mlplat.hub.logins import Logins

app = typer.Typer(
    help="Further logins of the embedded platform. They share one system account with you: add only who you trust.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and . _ @ -")]


@app.command()
def add(name: Name, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Add a login; prints the address that logs the new user in."""
    from jupyter_mlplat.hub.logins import login_url

    folder = data_dir or default_data_dir()
    logins = _logins(folder)
    url = login_url(_public_url(folder), logins.add(name))
    if as_json:
        show_json({"user": name, "url": url})
        return
    note(f"{name} can log in with this address. It is shown only now:")
    say(url)


@app.command()
def token(name: Name, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make a token with which a user can use this command line: MLPLAT_URL and MLPLAT_TOKEN."""
    from jupyter_mlplat.embedded.tokens import user_token

    folder = data_dir or default_data_dir()
    if name not in _logins(folder).users():
        raise NotFound(f"{name} may not log in yet. Add the login first: mlplat user add {name}")
    made, url = user_token(folder, name), f"{_public_url(folder)}/services/mlplat"
    if as_json:
        show_json({"user": name, "url": url, "token": made})
        return
    note(f"{name} sets these two variables. The token is shown only now:")
    say(f"export MLPLAT_URL={url}\nexport MLPLAT_TOKEN={made}")


@app.command("list")
def list_(data_dir: DataDir = None, as_json: Json = False) -> None:
    """List who may log in."""
    users = _logins(data_dir or default_data_dir()).users()
    if as_json:
        show_json(users)
    else:
        say("\n".join(users) or "Nobody may log in yet.")


@app.command()
def remove(name: Name, data_dir: DataDir = None, yes: Yes = False, as_json: Json = False) -> None:
    """Take a login away; the user's instances, images and jobs stay."""
    logins = _logins(data_dir or default_data_dir())
    confirm(f"After this {name} cannot log in any more. What {name} owns stays.", "Remove the login?", yes)
    logins.remove(name)
    if as_json:
        show_json({"user": name})
    else:
        say(f"{name} cannot log in any more.")


def _logins(folder: "Path") -> "Logins":
    from jupyter_mlplat.hub.logins import Logins

    path = folder / "secrets" / "logins.json"
    if not path.parent.is_dir():
        raise NotFound(f"There is no platform in {folder}. Start it with `mlplat up`.")
    return Logins(path)


def _public_url(folder: "Path") -> str:
    from jupyter_mlplat.sdk.profile import Profile, ProfileFile

    found = ProfileFile.model_validate_json((folder / "profile.json").read_bytes())
    return Profile.of(found.url, found.token).origin
