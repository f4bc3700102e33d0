"""Where things lie in a job's folder, and what `spec.json` says."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Value = bool | int | float | str


@dataclass(frozen=True)
class JobFolder:
    """The folder of one job. `env` is a copy of the image and goes when the job is over."""

    root: Path
    apart: Path | None = None
    """Where transfers keep what they know, where the job's own code shall not reach it."""

    @property
    def spec(self) -> Path:
        return self.root / "spec.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def grant(self) -> Path:
        """What the job was given of the machine; there while it runs."""
        return self.root / "grant.json"

    @property
    def lock(self) -> Path:
        """Held by the one runner of this job for as long as it lives."""
        return self.root / "runner.lock"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        return self.root / "outputs"

    @property
    def outgoing(self) -> Path:
        """One output on its way to the storage, where nobody shall see half of it."""
        return self.root / ".outgoing"

    @property
    def transfers(self) -> Path:
        """What has gone to, and come from, endpoints of S3."""
        return self.apart or self.root / "transfers"

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def log(self, node: int) -> Path:
        return self.logs / f"{node}.log"

    @property
    def runner_log(self) -> Path:
        """What the runner itself has to say when something is wrong with it."""
        return self.logs / "runner.log"

    @property
    def kernel_log(self) -> Path:
        """What the kernel says besides the output of cells: at its start, or when it crashes."""
        return self.logs / "kernel.log"

    @property
    def executed(self) -> Path:
        return self.root / "executed.ipynb"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.jsonl"


@dataclass(frozen=True)
class Spec:
    """One attempt of a job. Channels are (name, folder or URL) pairs; `cpus` are core numbers, none means any."""

    job_id: str
    number: int
    name: str
    kind: Literal["notebook", "python", "shell"]
    entry: str
    attempt: int
    environment: str
    parameters: dict[str, Value] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    inputs: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    cpus: list[int] = field(default_factory=list)
    gpus: int = 0
    node: int = 0
    """Which of the job's nodes this is."""

    hosts: list[str] = field(default_factory=list)
    """Where the job's nodes reach each other, in the order of their numbers; none for a job on this machine alone."""

    logs_to: str = ""
    """The folder or URL that the log is sent to; empty for none."""

    time_limit: int | None = None
    """Seconds that the attempt may run."""

    @classmethod
    def load(cls, path: Path) -> "Spec":
        return cls(**json.loads(path.read_bytes()))

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @property
    def python(self) -> Path:
        return Path(self.environment, "bin", "python")

    def folder_of_entry(self, folder: JobFolder) -> Path:
        """Where the job runs: beside its notebook or script."""
        return (folder.code / self.entry).parent
