"""`mlplat ssh`."""

import os
import shlex
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from jupyter_mlplat.cli import ssh_files
from jupyter_mlplat.cli.formats import exact, relative
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import note, say, show_json
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table
from jupyter_mlplat.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from jupyter_mlplat.ssh.models import SshKey, SshSession

CONNECT = "connect"


class SshCommands(TyperGroup):
    """The commands, and `mlplat ssh NAME …` for `mlplat ssh connect NAME …`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        named = args and args[0] not in self.commands and not args[0].startswith("-")
        return super().resolve_command(ctx, [CONNECT, *args] if named else args)


app = typer.Typer(
    cls=SshCommands,
    help="SSH: `mlplat ssh NAME` opens a shell on an instance, `mlplat ssh config` makes every ssh client know them.",
    no_args_is_help=True,
)
keys = typer.Typer(help="Your SSH keys.", no_args_is_help=True)
app.add_typer(keys, name="key")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The instance's name or id.")]
Comment = Annotated[str, typer.Option(help="What it is called; else the comment in the key.")]
Days = Annotated[int | None, typer.Option("--days", min=1, metavar="N", help="It opens nothing more after N days.")]
UsersFile = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="In place of ~/.ssh/config.")]


@keys.command("add")
def add_key(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="A .pub file, or - for standard input.")] = "",
    comment: Comment = "",
    days: Days = None,
    as_json: Json = False,
) -> None:
    """Register a public key; without FILE the first of your own in ~/.ssh."""
    path = Path(file) if file else _own_public_key()
    text = sys.stdin.read() if file == "-" else path.read_text(errors="replace")
    with platform() as client:
        key = client.ssh.add_key(text, comment=comment, expires_at=_end(days))
    if file != "-":
        ssh_files.remember_identity(path)
    _tell_key(key, as_json)


@keys.command("make")
def make_key(
    comment: Comment = "",
    days: Days = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the private key in place of keeping it in a file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a pair of keys and register it; the private key is kept on this machine alone."""
    path = ssh_files.made_key()
    if path.exists() and not (show or as_json):
        raise Conflict(f"There is a key that was made already: {path}. Remove that file first, or take --show.")
    with platform() as client:
        pair = client.ssh.make_pair(comment=comment, expires_at=_end(days))
    if as_json:
        show_json(pair)
    elif show:
        say(pair.private_key.rstrip("\n"))
    else:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ssh_files.write_private(path, pair.private_key)
        say(f"The pair {pair.key.fingerprint} is made; its private key is {path}.")


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List your keys, the newest first."""
    with platform() as client:
        found = client.ssh.keys()
    if as_json:
        show_json(found)
        return
    columns: list[Column[SshKey]] = [
        Column("KEY", lambda row: row.id),
        Column("COMMENT", lambda row: row.comment or "-", long=True),
        Column("KIND", lambda row: f"{row.type} {row.bits}", extra=True),
        Column("FINGERPRINT", lambda row: row.fingerprint, long=True),
        Column("USED", lambda row: relative(row.last_used_at) if row.last_used_at else "never"),
        Column("ENDS", lambda row: "expired" if row.expired else exact(row.expires_at) if row.expires_at else "-"),
    ]
    show_table(found, columns, empty="You have no SSH key. Register one: mlplat ssh key add, or mlplat ssh key make")


@keys.command("remove")
def remove_key(key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, fingerprint or comment.")]) -> None:
    """Forget a key: it opens nothing more, and sessions that it opened end."""
    with platform() as client:
        found = client.ssh.find_key(key)
        client.ssh.remove_key(found.id)
    say(f"{found.comment or found.fingerprint} opens nothing any more.")


@app.command()
def config(
    remove: Annotated[bool, typer.Option("--remove", help="Take it out again.")] = False,
    https: Annotated[
        bool | None,
        typer.Option("--https/--direct", help="Through the platform's own address, where no SSH port is to be had."),
    ] = None,
    file: UsersFile = None,
) -> None:
    """Let ssh, scp, rsync, git and editors know all your instances as NAME.mlplat; run it again for new ones."""
    users = file or Path.home() / ".ssh" / "config"
    if https is not None:
        ssh_files.choose_https(https)
    if remove:
        (ssh_files.folder() / "config").unlink(missing_ok=True)
        gone = ssh_files.exclude_from(users)
        say(f"{users} knows no instances any more." if gone else f"Nothing of mlplat is in {users}.")
        return
    with platform() as client:
        ours = ssh_files.write_config(client)
        hosts, has_key = client.ssh.hosts(), bool(client.ssh.keys())
    ssh_files.include_in(users, ours)
    say(f"{users} includes {ours}." if hosts else f"{users} includes {ours}, where there is no instance yet.")
    for host in hosts:
        say(f"  ssh {host.instance_name}.mlplat")
    if not has_key:
        note("You have no SSH key yet. Register one: mlplat ssh key add, or mlplat ssh key make")


@app.command()
def proxy() -> None:
    """Lead to the gateway through HTTPS, for ssh's ProxyCommand; `mlplat ssh config --https` writes it."""
    words = ssh_files.tunnel_command()
    os.execv(words[0], words)  # noqa: S606 - ssh's bytes pass nothing else


@app.command(CONNECT)
def connect(
    name: Name,
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- CMD…]", help="In place of a shell.")] = None,
) -> None:
    """Open a shell on an instance, or run a command there; one that is stopped is started."""
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InvalidInput("This machine has no ssh. Install it, on Debian with `apt install openssh-client`.")
    with platform() as client:
        instance = client.instances.find(name)
        if not client.ssh.keys():
            raise Conflict("You have no SSH key yet. Register one: mlplat ssh key add, or mlplat ssh key make")
        ours = ssh_files.write_config(client)
    sys.stdout.flush()
    words = [shlex.join(command)] if command else []
    os.execv(ssh, [ssh, "-F", str(ours), f"{instance.name}.mlplat", *words])  # noqa: S606 - ssh has the terminal


@app.command()
def allow(
    name: Name,
    addresses: Annotated[list[str] | None, typer.Argument(metavar="[CIDR…]", help="None: from everywhere.")] = None,
    as_json: Json = False,
) -> None:
    """Say from which addresses an instance is reached, five at most; sessions from elsewhere end."""
    with platform() as client:
        host = client.ssh.allow(client.instances.find(name).id, addresses or [])
    if as_json:
        show_json(host)
    else:
        say(f"{host.instance_name} can be reached from {', '.join(host.addresses) or 'everywhere'}.")


@app.command("keys")
def instance_keys(
    name: Name,
    only: Annotated[list[str] | None, typer.Option(metavar="KEY", help="A key of yours; again for more.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of your keys, those of later too.")] = False,
    as_json: Json = False,
) -> None:
    """Say which of your keys open an instance; sessions by others end. Without an option it tells which do."""
    if only and every:
        raise InvalidInput("Choose keys with --only, or all of them with --all.")
    with platform() as client:
        instance = client.instances.find(name)
        host = client.ssh.host(instance.id)
        if only or every:
            host = client.ssh.choose_keys(instance.id, [client.ssh.find_key(key).id for key in only or []])
        own = client.ssh.keys()
    if as_json:
        show_json(host)
    else:
        names = {key.id: key.comment or key.fingerprint for key in own}
        chosen = [names.get(key_id, f"{key_id} (removed)") for key_id in host.keys]
        opened = ", ".join(chosen) or "all your keys"
        say(f"{host.instance_name} is opened by {opened}.")


@app.command()
def sessions(name: Name, as_json: Json = False) -> None:
    """List who is on an instance over SSH."""
    with platform() as client:
        found = client.ssh.sessions(client.instances.find(name).id)
    if as_json:
        show_json(found)
        return
    columns: list[Column[SshSession]] = [
        Column("SESSION", lambda row: row.id),
        Column("FROM", lambda row: row.address or "-"),
        Column("SINCE", lambda row: relative(row.since)),
        Column("KEY", lambda row: row.key_comment or row.key_id, long=True),
    ]
    show_table(found, columns, empty=f"Nobody is on {name} over SSH.")


@app.command()
def cut(name: Name, session: Annotated[str, typer.Argument(metavar="SESSION", help="See `sessions`.")]) -> None:
    """End a session, with what runs in it."""
    with platform() as client:
        client.ssh.cut(client.instances.find(name).id, session)
    say(f"The session {session} is ended.")


def _own_public_key() -> Path:
    home = Path.home() / ".ssh"
    for name in ssh_files.DEFAULT_KEYS:
        if (found := home / f"{name}.pub").is_file():
            return found
    raise InvalidInput(f"There is no public key in {home}. Name a file, or make a pair: mlplat ssh key make")


def _end(days: int | None) -> datetime | None:
    return datetime.now(UTC) + timedelta(days=days) if days else None


def _tell_key(key: "SshKey", as_json: bool) -> None:
    if as_json:
        show_json(key)
    else:
        say(f"{key.comment or key.type} ({key.fingerprint}) opens your instances. Let ssh know them: mlplat ssh config")
