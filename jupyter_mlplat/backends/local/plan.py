"""What an image of an environment will hold, found out in one way for the preview and for the save."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jupyter_mlplat.backends.local.moving import PREFIX, Moves
from jupyter_mlplat.backends.local.packages import Package, is_metadata, read_all
from jupyter_mlplat.backends.local.snapshot import Changes, Entry, Snapshot, compare, same_files, take
from jupyter_mlplat.backends.local.trees import Trees, origin_of
from jupyter_mlplat.oci.biggest import biggest
from jupyter_mlplat.oci.left_out import LeftOut, Rules, nothing_there, readable

COMPILED = "compiled modules, which are made anew"

SHOWN = 50
"""How many of the things that stay behind are named."""


class Source(Protocol):
    """An environment and the image that it is held against (None: an empty one), with what the user leaves out."""

    @property
    def environment(self) -> Path: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Plan:
    """What the environment was (`live`) and what the image will be.

    `result` is all that it will hold, `changes` what its own layer says, `left_out` what stays behind.

    An entry of `result` that is one of the parent's own, and not only alike, is kept from it.
    """

    live: Snapshot
    result: Snapshot
    changes: Changes
    left_out: tuple[tuple[LeftOut, int], ...]
    """With the bytes that stay behind."""
    parent: Snapshot = field(default_factory=Snapshot)
    kept: Mapping[str, str] = field(default_factory=dict)
    """The paths of the parent that stay as they are, with the reason."""


def make_plan(trees: Trees, source: Source) -> Plan:
    """What an image saved now would be; the parent is prepared.

    FileNotFoundError without an environment, InvalidInput for an excluded path that neither it nor the parent has.
    """
    live = take(source.environment)
    parent = trees.index(source.parent) if source.parent else Snapshot()
    _check(source.exclude, live, parent)
    rules = Rules(excluded=source.exclude)
    staying = stays_out(live.entries, rules)
    kept = stays_out(parent.entries, rules)
    result = _result(live, staying, parent, kept)
    left_out = (*((each, 0) for each in live.left_out), *_topmost(staying, live.entries))
    return Plan(live, result, _changes(trees, source, parent, result), left_out, parent, kept)


def _check(excluded: Iterable[str], live: Snapshot, parent: Snapshot) -> None:
    """A path written wrongly would take into the image what its user wants out of it."""
    outside = {each.path for each in live.left_out}
    for path in excluded:
        inside = path.strip("/").removeprefix(f"{PREFIX}/")
        if not any(inside in known for known in (live.entries, parent.entries, outside)):
            raise nothing_there(path)


def look_again(source: Source, before: Plan) -> bool:
    """Whether what goes into the image is still as `before`."""
    live = take(source.environment)
    if live.entries == before.live.entries:
        return True
    rules = Rules(excluded=source.exclude)
    return before.result.same_as(_result(live, stays_out(live.entries, rules), before.parent, before.kept))


def summary(trees: Trees, source: Source, plan: Plan) -> dict[str, Any]:
    """The plan in short, as JSON: paths are those in the image, sizes bytes."""
    changed = [(f"{PREFIX}/{path}", entry) for path, entry in plan.changes.changed.items()]
    files = {entry.inode: (path, entry.size) for path, entry in reversed(changed) if entry.kind == "f"}
    left_out = [(size, f"{PREFIX}/{readable(each.path)}", each.reason) for each, size in plan.left_out]
    left_out += [(0, f"{PREFIX}/**/__pycache__", COMPILED)] * bool(plan.live.caches)
    return {
        "files": len(files),
        "size": plan.changes.size,
        "removed": len(plan.changes.gone),
        "packages": packages(trees, source, plan),
        "folders": [each._replace(path=readable(each.path)) for each in biggest(files.values())],
        "left_out": sorted(left_out, reverse=True)[:SHOWN],
        "left_out_count": len(left_out),
    }


def packages(trees: Trees, source: Source, plan: Plan) -> tuple[Package, ...]:
    """The packages that the image will have, by name."""
    original = trees.environment(source.parent) if source.parent else source.environment

    def places() -> Iterator[Path]:
        for path, entry in plan.result.entries.items():
            if is_metadata(path):
                kept = plan.parent.entries.get(path) is entry
                yield (original if kept else source.environment) / path

    return read_all(places())


def stays_out(entries: Mapping[str, Entry], rules: Rules) -> dict[str, str]:
    """The paths that stay behind with the reason, and all below them; the entries come parents first."""
    found: dict[str, str] = {}
    for path, entry in entries.items():
        above = found.get(path.rpartition("/")[0])
        reason = above or rules.reason(f"{PREFIX}/{path}", folder=entry.kind == "d")
        if reason:
            found[path] = reason
    return found


def _result(live: Snapshot, staying: Mapping[str, str], parent: Snapshot, theirs: Mapping[str, str]) -> Snapshot:
    """The environment, but as its image has it where nothing may be changed."""
    if not staying and not theirs:
        return Snapshot(live.entries)
    entries = {path: entry for path, entry in live.entries.items() if path not in staying}
    for path in theirs:
        _keep(path, parent.entries, entries)
    return Snapshot(dict(sorted(entries.items())))


def _keep(path: str, original: Mapping[str, Entry], entries: dict[str, Entry]) -> None:
    """Put a path of the image back, with its folders; not below what has become something else than a folder."""
    parts = path.split("/")
    way = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    if all(entries.get(folder, original[folder]).kind == "d" for folder in way):
        for folder in way:
            entries.setdefault(folder, original[folder])
        entries[path] = original[path]


def _topmost(staying: Mapping[str, str], entries: Mapping[str, Entry]) -> Iterator[tuple[LeftOut, int]]:
    """What stays behind, a folder with all in it as one."""
    sizes: dict[str, int] = {}
    top = ""
    for path in staying:
        if path.rpartition("/")[0] not in staying:
            top = path
        owner = top if path == top or path.startswith(f"{top}/") else _top_of(path, staying)
        sizes[owner] = sizes.get(owner, 0) + entries[path].size
    for path, size in sizes.items():
        yield LeftOut(path, staying[path]), size


def _top_of(path: str, staying: Mapping[str, str]) -> str:
    while (above := path.rpartition("/")[0]) in staying:
        path = above
    return path


def _changes(trees: Trees, source: Source, parent: Snapshot, result: Snapshot) -> Changes:
    if source.parent is None:
        return compare(parent, result, lambda _: False)
    original, moves = trees.environment(source.parent), Moves(source.environment)
    return compare(
        parent,
        result,
        same_files(original, source.environment, moves),
        made_at_ns=origin_of(source.environment)[1],
        one_device=original.stat().st_dev == source.environment.stat().st_dev,
        moved=lambda path: moves.of(path) is not None,
    )
