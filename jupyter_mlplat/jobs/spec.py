"""What a job is made of, from its row."""

from pathlib import Path

from jupyter_mlplat.backends.base import JobSpec
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.jobs.models import Kind
from jupyter_mlplat.jobs.store import JobRow

Folders = tuple[tuple[str, str], ...]
"""(name of a channel, its folder or its URL)."""

KINDS = {".ipynb": Kind.NOTEBOOK, ".py": Kind.PYTHON, ".sh": Kind.SHELL}


def spec_of(row: JobRow, flavor: Flavor, bundle: Path, inputs: Folders, outputs: Folders, logs: str) -> JobSpec:
    """The spec of one attempt that a back end works from."""
    return JobSpec(
        job_id=row.id,
        number=row.number,
        owner=row.owner,
        name=row.name,
        kind=Kind(row.kind),
        entry=row.entry,
        bundle=bundle,
        image_digest=row.image_digest or "",
        image_reference=row.image_reference,
        flavor=flavor,
        nodes=row.nodes,
        attempt=row.attempt,
        time_limit=row.time_limit,
        parameters=row.parameters,
        environment=row.environment,
        inputs=inputs,
        outputs=outputs,
        logs=logs,
    )
