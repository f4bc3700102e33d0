"""`mlplat storage endpoint`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_mlplat.cli.asking import confirm
from jupyter_mlplat.cli.formats import exact, relative, state
from jupyter_mlplat.cli.options import Json, Yes
from jupyter_mlplat.cli.output import Cell, say, show_fields, show_json
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table
from jupyter_mlplat.errors import InvalidInput

if TYPE_CHECKING:
    from jupyter_mlplat.storage.models import Endpoint

app = typer.Typer(help="Endpoints: where buckets are.", no_args_is_help=True)

SECRET_VARIABLE = "MLPLAT_ENDPOINT_SECRET_KEY"  # noqa: S105 - the name of a variable
_FAILED = 1

Name = Annotated[str, typer.Argument(metavar="NAME", help="The endpoint's name.")]
AccessKey = Annotated[str | None, typer.Option("--access-key", metavar="KEY", help="The id of the keys.")]
Stdin = Annotated[
    bool,
    typer.Option(
        "--secret-stdin",
        help=f"Read the secret key from standard input; else from {SECRET_VARIABLE}, else it is asked for.",
    ),
]
Region = Annotated[str | None, typer.Option("--region", help="Else what the address says, else us-east-1.")]
PathStyle = Annotated[
    bool | None,
    typer.Option("--path-style/--host-style", help="The bucket is in the path, or in the host's name."),
]
Authority = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Certificate of the endpoint's own authority, in PEM.")
]
Buckets = Annotated[
    list[str] | None,
    typer.Option("--bucket", metavar="BUCKET", help="A bucket that it is to serve; several times. Else all."),
]
Prefix = Annotated[str | None, typer.Option("--prefix", metavar="FOLDER/", help="What is used of the buckets.")]
Temporary = Annotated[
    bool, typer.Option("--temporary-keys", help="Give instances keys of an hour by STS, limited to bucket and prefix.")
]
HandOut = Annotated[
    bool, typer.Option("--hand-out-keys", help="Let instances have these very keys, for an endpoint without STS.")
]
KeepKeys = Annotated[bool, typer.Option("--keep-keys", help="Give instances no keys.")]
StsAddress = Annotated[
    str | None, typer.Option("--sts-address", metavar="URL", help="Of STS, where it is not the endpoint's.")
]
StsRole = Annotated[str | None, typer.Option("--sts-role", metavar="ARN", help="The role that STS is asked for.")]


@app.command("add")
def add(
    name: Name,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as https://s3.example.org:9000.")],
    access_key: AccessKey = None,
    secret_stdin: Stdin = False,
    provider: Annotated[str, typer.Option("--provider", help="s3 or obs.")] = "s3",
    region: Region = None,
    path_style: PathStyle = None,
    ca: Authority = None,
    bucket: Buckets = None,
    prefix: Prefix = None,
    temporary_keys: Temporary = False,
    hand_out_keys: HandOut = False,
    sts_address: StsAddress = None,
    sts_role: StsRole = None,
    as_json: Json = False,
) -> None:
    """Add an endpoint and test it. The secret key is never an argument: others see those."""
    given = _given(
        region=region, path_style=path_style, authorities=_pem(ca), buckets=bucket, prefix=prefix,
        keys=_keys(temporary_keys, hand_out_keys, False), sts_address=sts_address, sts_role=sts_role,
    )  # fmt: skip
    access = access_key or _asked("Access key")
    secret = _secret(secret_stdin)
    with platform() as client:
        made = client.storage_endpoints.add(name, address, access, secret, provider=provider, **given)
    _report(made, as_json, f"The endpoint {name} is added.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the endpoints with their buckets."""
    with platform() as client:
        found = client.storage_endpoints.list()
    if as_json:
        show_json(found)
        return
    columns: list[Column[Endpoint]] = [
        Column("ENDPOINT", lambda row: row.name),
        Column("PROVIDER", lambda row: row.provider),
        Column("STATE", lambda row: state(row.state)),
        Column("ADDRESS", lambda row: row.address or "-"),
        Column("BUCKETS", lambda row: ", ".join(row.buckets) or "-"),
    ]
    show_table(found, columns, empty="There is no endpoint.")


@app.command("show")
def show(name: Name, as_json: Json = False) -> None:
    """Show what is known of an endpoint; its secret key is not shown to anybody."""
    with platform() as client:
        found = client.storage_endpoints.get(name)
    if as_json:
        show_json(found)
    else:
        _show(found)


@app.command("test")
def test(name: Name, as_json: Json = False) -> None:
    """Let the platform list what is there; says what is wrong where that fails."""
    with platform() as client:
        found = client.storage_endpoints.test(name)
    _report(found, as_json, f"The endpoint {name} answers.")


@app.command("rotate")
def rotate(name: Name, access_key: AccessKey = None, secret_stdin: Stdin = False, as_json: Json = False) -> None:
    """Give an endpoint new keys. They are tried first: where they do not work the old ones stay."""
    access = access_key or _asked("New access key")
    secret = _secret(secret_stdin)
    with platform() as client:
        changed = client.storage_endpoints.change(name, access_key=access, secret_key=secret)
    _report(changed, as_json, f"The endpoint {name} has new keys.")


@app.command("change")
def change(
    name: Name,
    region: Region = None,
    path_style: PathStyle = None,
    ca: Authority = None,
    bucket: Buckets = None,
    all_buckets: Annotated[bool, typer.Option("--all-buckets", help="Serve all that the keys can list.")] = False,
    prefix: Prefix = None,
    temporary_keys: Temporary = False,
    hand_out_keys: HandOut = False,
    keep_keys: KeepKeys = False,
    sts_address: StsAddress = None,
    sts_role: StsRole = None,
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="GROUP",
            help="Share it with this group of yours, in place of those before; several times.",
        ),
    ] = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Share it with nobody any more.")] = False,
    as_json: Json = False,
) -> None:
    """Change what is given; the rest stays."""
    if groups and no_groups:
        raise InvalidInput("It is shared with groups or with nobody: leave out --group or --no-groups.")
    given = _given(
        region=region, path_style=path_style, authorities=_pem(ca), buckets=[] if all_buckets else bucket or None,
        prefix=prefix, keys=_keys(temporary_keys, hand_out_keys, keep_keys), sts_address=sts_address,
        sts_role=sts_role, groups=[] if no_groups else groups or None,
    )  # fmt: skip
    if not given:
        raise InvalidInput("Nothing to change was given. See `mlplat storage endpoint change --help`.")
    with platform() as client:
        changed = client.storage_endpoints.change(name, **given)
    _report(changed, as_json, f"The endpoint {name} is changed.")


@app.command("remove")
def remove(name: Name, yes: Yes = False, as_json: Json = False) -> None:
    """Forget an endpoint and its keys; what is in its buckets stays."""
    confirm(f"The platform forgets {name} and its keys; what is in its buckets stays.", "Remove it?", yes)
    with platform() as client:
        client.storage_endpoints.remove(name)
    if as_json:
        show_json({"removed": name})
    else:
        say(f"The endpoint {name} is removed.")


def _report(endpoint: "Endpoint", as_json: bool, words: str) -> None:
    """What became of an endpoint; exit status 1 where it does not work."""
    if as_json:
        show_json(endpoint)
    elif endpoint.state == "ready":
        say(f"{words} Buckets: {', '.join(endpoint.buckets) or 'none yet'}.")
    else:
        say(f"The endpoint {endpoint.name} does not work: {endpoint.message}")
    if endpoint.state != "ready":
        raise typer.Exit(_FAILED)


def _show(found: "Endpoint") -> None:
    served = ", ".join(found.buckets) or "none yet"
    given = {
        "none": "kept on the platform: instances cannot use it",
        "own": "instances get these very keys",
        "temporary": "instances get temporary ones by STS",
    }
    fields: list[tuple[str, Cell]] = [
        ("Endpoint", found.name),
        ("Provider", found.provider),
        ("Owner", found.owner),
        ("Shared with", ", ".join(found.groups)),
        ("State", state(found.state)),
        ("", found.message),
        ("Tested", f"{relative(found.tested_at)} ({exact(found.tested_at)})" if found.tested_at else ""),
        ("Address", found.address),
        ("Region", found.region),
        ("Authority", "its own" if found.own_authority else ""),
        ("Buckets", f"{served} ({'all that the keys list' if found.all_buckets else 'only these'})"),
        ("Prefix", found.prefix),
        ("Access key", found.access_key),
        ("Keys", given[found.keys] if found.address else ""),
        ("STS", found.sts_address),
        ("Role", found.sts_role),
    ]
    show_fields(fields)


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _keys(temporary: bool, hand_out: bool, keep: bool) -> str | None:
    chosen = [name for name, wanted in (("temporary", temporary), ("own", hand_out), ("none", keep)) if wanted]
    if len(chosen) > 1:
        raise typer.BadParameter("--temporary-keys, --hand-out-keys and --keep-keys exclude each other.")
    return chosen[0] if chosen else None


def _pem(path: Path | None) -> str | None:
    return None if path is None else path.read_text()


def _secret(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return os.environ.get(SECRET_VARIABLE) or _asked("Secret key", hidden=True)


def _asked(what: str, *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        how = f"set {SECRET_VARIABLE} or say --secret-stdin" if hidden else "say --access-key"
        raise InvalidInput(f"{what} is needed and nobody can be asked: {how}.")
    return str(typer.prompt(what, hide_input=hidden, err=True))
