"""`mlplat job`: logs, events, metrics and files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_mlplat.cli.asking import leaving
from jupyter_mlplat.cli.formats import count, duration, exact, number, size
from jupyter_mlplat.cli.options import Json
from jupyter_mlplat.cli.output import note, say, show_json, show_json_line
from jupyter_mlplat.cli.progress import spinner
from jupyter_mlplat.cli.session import platform
from jupyter_mlplat.cli.tables import Column, show_table

if TYPE_CHECKING:
    from jupyter_mlplat.events.models import Event
    from jupyter_mlplat.jobs.models import Job, MetricPoint
    from jupyter_mlplat.sdk import Client

Reference = Annotated[str, typer.Argument(metavar="JOB", help="Its number (7 or #7), name (the latest of it) or id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands that show what a job left."""
    for command in (logs, events, metrics, download):
        app.command()(command)


def logs(
    job: Reference,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the job ends.")] = False,
    node: Annotated[int, typer.Option(min=0, help="Of which node.")] = 0,
    as_json: Json = False,
) -> None:
    """Print a job's log. With --json and -f each piece is a line {"text": …}."""
    with platform() as client:
        found = client.jobs.find(job)
        pieces = client.jobs.logs(found.id, node=node, follow=follow)
        with leaving(_goes_on(found)):
            if as_json and not follow:
                show_json({"job_id": found.id, "node": node, "log": "".join(pieces)})
                return
            for piece in pieces:
                _write(piece, as_json)


def events(job: Reference, as_json: Json = False) -> None:
    """Print what happened to a job, oldest first."""
    with platform() as client:
        found = client.jobs.events(client.jobs.find(job).id)
    if as_json:
        show_json(found)
        return
    columns: list[Column[Event]] = [
        Column("TIME", lambda row: exact(row.at)),
        Column("EVENT", lambda row: row.type),
        Column("WHAT", lambda row: row.message),
    ]
    show_table(found, columns, empty="Nothing has happened yet.")


def metrics(job: Reference, as_json: Json = False) -> None:
    """Print what a job logged with mlplat.log(…)."""
    with platform() as client:
        found = client.jobs.metrics(client.jobs.find(job).id)
    if as_json:
        show_json(found)
        return
    names = list(dict.fromkeys(name for point in found for name in point.values))
    columns: list[Column[MetricPoint]] = [
        Column("STEP", lambda row: "-" if row.step is None else str(row.step), right=True),
        *(_metric(name) for name in names),
        Column("TIME", lambda row: exact(row.at)),
    ]
    show_table(found, columns, empty="The job has logged no metrics. It does so with mlplat.log(step=…, loss=…).")


def download(
    job: Reference,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made where it does not exist.")],
    as_json: Json = False,
) -> None:
    """Download all files that a job left."""
    total = 0
    with platform() as client, spinner("Downloading", as_json) as say_progress:
        found = client.jobs.find(job)

        def seen(path: str, length: int) -> None:
            nonlocal total
            total += length
            say_progress(f"Downloading: {size(total)}, {path}")

        paths = client.jobs.download(found.id, directory, seen=seen)
    if as_json:
        show_json([str(path) for path in paths])
    else:
        files = count(len(paths), "file")
        say(f"Downloaded {files} ({size(total)}) of {found.name} #{found.number} to {directory}")


def follow_to_end(client: "Client", job: "Job", quiet: bool) -> "Job":
    """The job once it has ended; meanwhile its log goes to stdout (nowhere where `quiet`)."""
    with leaving(_goes_on(job)):
        if not quiet:
            note(f"Job {job.name} #{job.number} is submitted.")
            _print_log(client, job)
        job = client.jobs.wait(job.id)
    if not quiet:
        why = f": {job.phase_message}" if job.phase_message and job.phase != "Completed" else ""
        note(f"Job {job.name} #{job.number} {job.phase.value.lower()} in {duration(job.duration)}{why}")
    return job


def _print_log(client: "Client", job: "Job") -> None:
    pieces = client.jobs.logs(job.id, follow=True)
    with spinner(f"Waiting for the first line of {job.name} #{job.number}"):
        first = next((piece for piece in pieces if piece), "")
    _write(first, False)
    for piece in pieces:
        _write(piece, False)


def _write(piece: str, as_json: bool) -> None:
    if as_json:
        if piece:
            show_json_line({"text": piece})
        return
    sys.stdout.write(piece)
    sys.stdout.flush()


def _metric(name: str) -> "Column[MetricPoint]":
    return Column(name.upper(), lambda row: number(row.values[name]) if name in row.values else "", right=True)


def _goes_on(job: "Job") -> str:
    return f"Job {job.name} #{job.number} runs on. Follow it: mlplat job logs -f {job.number}"
