"""What the pod of a build and the platform tell each other, as JSON."""

from typing import TypedDict


class Below(TypedDict):
    """An image that the Containerfile names as `name`; `manifest` is its document, byte for byte."""

    name: str
    media_type: str
    manifest: str


class Beginning(TypedDict):
    """All that the pod needs to know. `known` are the layers that the platform has, by the digests of their plain
    content; `log` is how much of the log it has."""

    containerfile: str
    bases: list[Below]
    known: list[str]
    files: int
    total_bytes: int
    log: int


class ResultLayer(TypedDict):
    """A layer of the image. `digest` and `size` are those of what was sent, empty for one that the platform knows."""

    diff_id: str
    digest: str
    size: int


class Result(TypedDict, total=False):
    """What came of a build: the exit code of buildah, or what is wrong with what it left (`problem`).

    `config` is the image's, `layers` the lowest first. `added` are the packages that its own layers bring (name and
    version), `removed` the names of those that they take away ("*": all).
    """

    code: int
    problem: str
    config: str
    layers: list[ResultLayer]
    added: list[tuple[str, str]]
    removed: list[str]
