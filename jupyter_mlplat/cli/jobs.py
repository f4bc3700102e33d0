"""`mlplat job`: submitting, listing, ending. What a job left is in `job_results`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_mlplat.cli import job_results
from jupyter_mlplat.cli.arguments import one_of, pairs, parameters
from jupyter_mlplat.cli.asking import confirm
from jupyter_mlplat.cli.formats import count, duration, exact, number, relative, size, state
from jupyter_mlplat.cli.job_results import Reference, follow_to_end
from jupyter_mlplat.cli.options import Flavor, Image, Json, Pairs, Yes
from jupyter_mlplat.cli.output import note, on_terminal, say, show_fields, show_json
from jupyter_mlplat.cli.progress import byte_bar
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.jobs.models import Job
    from jupyter_mlplat.sdk import Client
    from jupyter_mlplat.sdk.submission import Submission

app = typer.Typer(help="Training jobs: a notebook or a script that runs by itself.", no_args_is_help=True)

FAILED = 1


@app.command()
def submit(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A notebook or a script; its folder goes with it.")],
    name: Annotated[str | None, typer.Option(help="Else the file's name.")] = None,
    image: Image = None,
    flavor: Flavor = None,
    nodes: Annotated[int, typer.Option(min=1, help="How many copies run together.")] = 1,
    param: Annotated[Pairs, typer.Option(metavar="K=V", help="A parameter; numbers, true and false are typed.")] = None,
    env: Annotated[Pairs, typer.Option(metavar="K=V", help="An environment variable.")] = None,
    input_: Annotated[Pairs, typer.Option("--input", metavar="NAME=URL", help="Data to read, obs://…")] = None,
    output: Annotated[Pairs, typer.Option(metavar="NAME=URL", help="Where to write, obs://…")] = None,
    logs: Annotated[
        str | None, typer.Option(metavar="URL", help="A folder to send the log to as well, obs://…")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed run is tried again.")] = 0,
    time_limit: Annotated[int | None, typer.Option(min=1, help="Seconds that one run may take.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the logs; status 1 unless it completes.")] = False,
    as_json: Json = False,
) -> None:
    """Submit a notebook or a script with the other files of its folder."""
    fields = {
        "name": name,
        "image": image,
        "flavor": flavor,
        "nodes": nodes,
        "retries": retries,
        "time_limit": time_limit,
        "description": description,
        "parameters": parameters(param or []),
        "environment": pairs(env or [], "--env"),
        "inputs": pairs(input_ or [], "--input"),
        "outputs": pairs(output or [], "--output"),
        "logs": logs,
    }
    with platform() as client:
        job = _submit(client, path, fields, as_json)
        if wait:
            job = follow_to_end(client, job, as_json)
    if as_json:
        show_json(job)
    elif not wait:
        say(f"Job {job.name} #{job.number} is submitted. Follow it: mlplat job logs -f {job.number}")
    if wait and job.phase != "Completed":
        raise typer.Exit(FAILED)


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option(help="Part of the name.")] = None,
    phase: Annotated[str | None, typer.Option(help="Such as Running.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List jobs, the latest first."""
    from jupyter_mlplat.jobs.models import Phase

    wanted = one_of(Phase, phase, "--phase")
    with platform() as client:
        found = client.jobs.list(name=name, phase=wanted, limit=limit)
    if as_json:
        show_json(found)
        return
    columns: list[Column[Job]] = [
        Column("#", lambda row: str(row.number), right=True),
        Column("NAME", lambda row: row.name, long=True),
        Column("STATE", lambda row: state(row.phase.value)),
        Column("CELLS", _cells, right=True),
        Column("LAST METRICS", _metrics, long=True, extra=True),
        Column("TOOK", lambda row: duration(row.duration), right=True),
        Column("CREATED", lambda row: relative(row.created_at), extra=True),
        Column("ID", lambda row: row.id, extra=True),
    ]
    show_table(found, columns, empty="No job yet. Submit one: mlplat job submit NOTEBOOK.ipynb")


@app.command()
def show(job: Reference, as_json: Json = False) -> None:
    """Show one job."""
    with platform() as client:
        found = client.jobs.find(job)
    if as_json:
        show_json(found)
        return
    show_fields(
        [
            ("Job", f"{found.name} #{found.number}"),
            ("Id", found.id),
            ("State", state(found.phase.value)),
            ("", found.phase_message),
            ("Exit code", "" if found.exit_code is None else str(found.exit_code)),
            ("Description", found.description),
            ("Runs", f"{found.entry} ({found.kind.value})"),
            ("Image", found.image_name),
            ("Flavor", f"{found.flavor}, {found.nodes} nodes" if found.nodes > 1 else found.flavor),
            ("Parameters", ", ".join(f"{key}={value}" for key, value in found.parameters.items())),
            ("Inputs", ", ".join(f"{channel.name}={channel.url}" for channel in found.inputs)),
            ("Outputs", ", ".join(f"{channel.name}={channel.url}" for channel in found.outputs)),
            ("Log sent to", found.logs or ""),
            ("Cells", _cells(found) if found.progress.total else ""),
            ("Last metrics", _metrics(found).removeprefix("-")),
            ("Attempt", f"{found.attempt} of {found.retries + 1}" if found.retries else ""),
            ("Time limit", duration(found.time_limit) if found.time_limit else ""),
            ("Created", f"{relative(found.created_at)} ({exact(found.created_at)})"),
            ("Took", duration(found.duration)),
        ]
    )


@app.command()
def stop(job: Reference, as_json: Json = False) -> None:
    """Stop a job; what it left so far stays."""
    with platform() as client:
        found = client.jobs.stop(client.jobs.find(job).id)
    _tell(found, "is stopping.", as_json)


@app.command()
def rerun(job: Reference, as_json: Json = False) -> None:
    """Submit a job again with the same files, parameters and data."""
    with platform() as client:
        found = client.jobs.rerun(client.jobs.find(job).id)
    _tell(found, f"is submitted. Follow it: mlplat job logs -f {found.number}", as_json)


@app.command()
def delete(job: Reference, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a job with its logs and files; what it wrote to its outputs in storage stays."""
    with platform() as client:
        found = client.jobs.find(job)
        confirm(f"This deletes the job {found.name} #{found.number} with its logs and files.", "Delete it?", yes)
        found = client.jobs.delete(found.id)
    _tell(found, "is being deleted.", as_json)


job_results.add_to(app)


def _submit(client: "Client", path: Path, fields: dict[str, Any], quiet: bool) -> "Job":
    from jupyter_mlplat.sdk.submission import Submission

    submission = Submission(path, client.jobs.limits())
    if on_terminal() and not quiet:
        note(_what_goes(submission))
    with byte_bar("Sending", quiet) as sent:
        return client.jobs.submit(submission, sent=sent, **fields)


def _what_goes(submission: "Submission") -> str:
    survey = submission.survey
    behind = f"; {len(survey.excluded)} left behind" if survey.excluded else ""
    return f"Sending {count(len(survey.files), 'file')}, {size(survey.total_bytes)}{behind}"


def _cells(job: "Job") -> str:
    return f"{job.progress.done}/{job.progress.total}" if job.progress.total else "-"


def _metrics(job: "Job") -> str:
    return " ".join(f"{name}={number(value)}" for name, value in job.last_metrics.items()) or "-"


def _tell(job: "Job", what: str, as_json: bool) -> None:
    if as_json:
        show_json(job)
    else:
        say(f"Job {job.name} #{job.number} {what}")
