"""Layers: what is written comes back, equal trees give equal bytes, and a malicious layer changes nothing outside."""

import contextlib
import hashlib
import io
import os
import tarfile
import tempfile
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlplat.backends.local.moving import PREFIX
from jupyter_mlplat.backends.local.snapshot import Snapshot, compare, members, same_files, take
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.oci.apply import apply_layer
from jupyter_mlplat.oci.compression import Compressed, CompressedStream
from jupyter_mlplat.oci.layer import SourceChanged, write_layer
from jupyter_mlplat.oci.member import Kind, Member

NEVER = {"__pycache__", ".mlplat.json", "pyvenv.cfg", ".lock", ".", ".."}

names = st.one_of(
    st.sampled_from(["a", "b", "c", "lib", "naïve", "e\u0301", "数据", "x" * 120, "with space", "-dash", "new\nline"]),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.binary(min_size=1, max_size=6).filter(lambda raw: not {0, 47} & set(raw)).map(os.fsdecode),
).filter(lambda name: name not in NEVER and not name.startswith(".wh.") and len(os.fsencode(name)) <= 250)

files = st.tuples(st.binary(max_size=3000), st.sampled_from([0o644, 0o600, 0o755]), st.integers(0, 2**31))
links = st.sampled_from(["a", "b/c", "./lib", "missing"])
trees = st.recursive(
    st.dictionaries(names, st.one_of(files, links), max_size=4),
    lambda inner: st.dictionaries(names, st.one_of(files, links, inner), max_size=4),
    max_leaves=12,
)


def make(folder: Path, tree: dict) -> None:
    """Put on disk what the strategies say: {name: (content, mode, mtime) | link target | folder}."""
    folder.mkdir(exist_ok=True)
    for name, node in tree.items():
        path = folder / name
        if isinstance(node, dict):
            make(path, node)
        elif isinstance(node, str):
            path.symlink_to(node)
        else:
            content, mode, mtime = node
            path.write_bytes(content)
            path.chmod(mode)
            os.utime(path, (mtime, mtime))


def describe(folder: Path) -> dict[str, tuple]:
    found: dict[str, tuple] = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", state.st_mode)
        else:
            found[name] = ("file", path.read_bytes(), state.st_mode, int(state.st_mtime))
    return found


def write(folder: Path, blob: Path, parent: Path | None = None) -> Compressed:
    """The layer of what `folder` has beyond `parent`."""
    image = take(parent) if parent else Snapshot()
    changes = compare(image, take(folder), same_files(parent, folder) if parent else lambda _: False)
    with blob.open("wb") as file:
        return write_layer(members(folder, changes), file)


@pytest.fixture
def folder():
    """A folder where making thousands of files is quick."""
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_a_layer_brings_a_tree_back(tree):
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        make(base / "one", tree)
        written = write(base / "one", base / "blob")
        (base / "two").mkdir()
        apply_layer(base / "blob", written.digest, base / "two", prefix=PREFIX)
        assert describe(base / "two") == describe(base / "one")


@settings(max_examples=60, deadline=None)
@given(trees, trees)
def test_a_second_layer_brings_every_change(old, new):
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        make(base / "old", old)
        make(base / "new", new)
        first, second = write(base / "old", base / "1"), write(base / "new", base / "2", base / "old")
        (base / "out").mkdir()
        apply_layer(base / "1", first.digest, base / "out", prefix=PREFIX)
        apply_layer(base / "2", second.digest, base / "out", prefix=PREFIX)
        assert without_times(describe(base / "out")) == without_times(describe(base / "new"))


def without_times(tree):
    """A file whose bytes are the same is no change, whatever its time."""
    return {name: node[:3] for name, node in tree.items()}


def test_digests_are_those_of_the_bytes(folder):
    make(folder / "tree", {"a": (b"x" * 100_000, 0o644, 5)})
    written = write(folder / "tree", folder / "blob")
    packed = (folder / "blob").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader(packed).read()
    assert written.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert written.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert (written.size, written.plain_size) == (len(packed), len(plain))


def test_equal_trees_give_equal_layers_in_any_order_of_making(folder):
    tree = {name: (name.encode() * 5000, 0o644, 7) for name in "abcdef"} | {"d1": {"x": "../a"}, "d0": {}}
    make(folder / "one", tree)
    make(folder / "two", dict(reversed(tree.items())))
    assert write(folder / "one", folder / "1") == write(folder / "two", folder / "2")


def test_the_number_of_threads_does_not_show():
    data = os.urandom(1 << 20) + bytes(20 << 20) + b"abc" * (3 << 20)

    def packed(threads: int) -> bytes:
        out = io.BytesIO()
        with CompressedStream(out, threads=threads) as stream:
            for start in range(0, len(data), 1 << 20):
                stream.write(data[start : start + (1 << 20)])
            stream.finish()
        return out.getvalue()

    assert packed(1) == packed(2) == packed(4)


def test_standard_tools_can_read_a_layer(folder):
    deep = {"d" * 60: {"e" * 60: {"f" * 90: (b"deep", 0o640, 9)}}}
    make(folder / "tree", deep | {"数" * 40: (b"wide", 0o644, 9)})
    write(folder / "tree", folder / "blob")
    plain = zstandard.ZstdDecompressor().stream_reader((folder / "blob").read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = {info.name: info for info in archive}
        assert archive.extractfile(f"{PREFIX}/{'d' * 60}/{'e' * 60}/{'f' * 90}").read() == b"deep"
    assert {info.uid for info in found.values()} == {0}
    assert f"{PREFIX}/{'数' * 40}" in found


def test_hard_links_stay_links(folder):
    make(folder / "tree", {"a": (b"shared", 0o644, 1)})
    (folder / "tree" / "b").hardlink_to(folder / "tree" / "a")
    written = write(folder / "tree", folder / "blob")
    (folder / "out").mkdir()
    apply_layer(folder / "blob", written.digest, folder / "out", prefix=PREFIX)
    assert (folder / "out" / "b").samefile(folder / "out" / "a")


def test_a_sparse_file_comes_back_sparse(folder):
    (folder / "tree").mkdir()
    with (folder / "tree" / "sparse").open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    written = write(folder / "tree", folder / "blob")
    assert written.size < 1 << 20
    (folder / "out").mkdir()
    apply_layer(folder / "blob", written.digest, folder / "out", prefix=PREFIX)
    back = folder / "out" / "sparse"
    assert back.stat().st_size == (64 << 20) + 3
    assert back.stat().st_blocks * 512 < 4 << 20
    assert back.read_bytes()[-3:] == b"end"


def test_extended_attributes_come_back(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    try:
        os.setxattr(tmp_path / "a", "user.note", b"")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    noted = {"user.note": b"\xff\x00value"}
    member = Member(f"{PREFIX}/a", Kind.FILE, size=1, source=str(tmp_path / "a"), xattrs=noted)
    with (tmp_path / "blob").open("wb") as out:
        written = write_layer([member], out)
    (tmp_path / "out").mkdir()
    apply_layer(tmp_path / "blob", written.digest, tmp_path / "out", prefix=PREFIX)
    assert os.getxattr(tmp_path / "out" / "a", "user.note") == b"\xff\x00value"


def test_a_large_file_that_changes_while_it_is_read_spoils_the_layer(folder):
    source = folder / "big"
    source.write_bytes(bytes(24 << 20))
    member = Member("big", Kind.FILE, size=24 << 20, source=str(source))

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with pytest.raises(SourceChanged), (folder / "blob").open("wb") as out:
        write_layer([member], out, written=grow)


def test_a_small_file_is_read_again_until_it_holds_still(folder, monkeypatch):
    source = folder / "small"
    source.write_bytes(b"old")
    real, calls = os.fstat, []

    def fstat(descriptor):
        state = real(descriptor)
        calls.append(descriptor)
        if len(calls) == 1:
            source.write_bytes(b"newer")
        return state

    monkeypatch.setattr("jupyter_mlplat.oci.layer.os.fstat", fstat)
    with (folder / "blob").open("wb") as out:
        written = write_layer([Member("small", Kind.FILE, size=3, source=str(source))], out)
    monkeypatch.undo()
    (folder / "out").mkdir()
    apply_layer(folder / "blob", written.digest, folder / "out")
    assert (folder / "out" / "small").read_bytes() == b"newer"


def test_a_file_that_vanishes_is_told(folder):
    with pytest.raises(SourceChanged), (folder / "blob").open("wb") as out:
        write_layer([Member("gone", Kind.FILE, size=3, source=folder / "gone")], out)


def test_no_thread_is_left_after_a_failure(folder):
    class FullDisk(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    (folder / "big").write_bytes(os.urandom(16 << 20))
    before = threading.active_count()
    with pytest.raises(OSError, match="No space"):
        write_layer([Member("big", Kind.FILE, size=16 << 20, source=folder / "big")], FullDisk())
    assert threading.active_count() == before


def entry(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", target: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, len(content), target, 0o755
    return info, content


def raw_layer(blob: Path, *entries: tuple) -> str:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    packed = zstandard.ZstdCompressor().compress(plain.getvalue())
    blob.write_bytes(packed)
    return "sha256:" + hashlib.sha256(packed).hexdigest()


MALICIOUS = {
    "absolute name": [entry("/outside", content=b"x")],
    "parent in a name": [entry("opt/mlplat/env/../../../../outside", content=b"x")],
    "parent outside the prefix": [entry("etc/../../outside", content=b"x")],
    "absolute link": [entry("opt/mlplat/env/l", tarfile.SYMTYPE, target="/etc/passwd")],
    "link that climbs out": [entry("opt/mlplat/env/d/l", tarfile.SYMTYPE, target="../../outside")],
    "link that climbs out through another": [
        entry("opt/mlplat/env/s", tarfile.SYMTYPE, target="d"),
        entry("opt/mlplat/env/d/l", tarfile.SYMTYPE, target="../s/../.."),
    ],
    "file below a link": [
        entry("opt/mlplat/env/d", tarfile.DIRTYPE),
        entry("opt/mlplat/env/l", tarfile.SYMTYPE, target="d"),
        entry("opt/mlplat/env/l/f", content=b"x"),
    ],
    "hard link to the outside": [entry("opt/mlplat/env/l", tarfile.LNKTYPE, target="/etc/passwd")],
    "hard link outside the prefix": [entry("opt/mlplat/env/l", tarfile.LNKTYPE, target="etc/passwd")],
    "hard link to a link": [
        entry("opt/mlplat/env/s", tarfile.SYMTYPE, target="missing"),
        entry("opt/mlplat/env/l", tarfile.LNKTYPE, target="opt/mlplat/env/s"),
    ],
    "device": [entry("opt/mlplat/env/null", tarfile.CHRTYPE)],
    "pipe": [entry("opt/mlplat/env/pipe", tarfile.FIFOTYPE)],
    "whiteout of the parent": [entry("opt/mlplat/env/.wh...")],
    "whiteout of nothing": [entry("opt/mlplat/env/.wh.")],
}


@pytest.mark.parametrize("trick", MALICIOUS)
def test_a_malicious_layer_is_refused(trick, tmp_path):
    (tmp_path / "outside").write_text("mine")
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    digest = raw_layer(tmp_path / "blob", *MALICIOUS[trick])
    with pytest.raises(InvalidInput):
        apply_layer(tmp_path / "blob", digest, target, prefix=PREFIX)
    assert (tmp_path / "outside").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blob", "deep", "outside"]


def test_a_link_left_by_a_lower_layer_is_not_followed(tmp_path):
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "l").symlink_to(outside)
    for name in ("l/f", "l/.wh.f", "l/.wh..wh..opq"):
        (outside / "f").write_text("mine")
        digest = raw_layer(tmp_path / "blob", entry(name))
        with contextlib.suppress(InvalidInput):
            apply_layer(tmp_path / "blob", digest, target)
        assert (outside / "f").read_text() == "mine"


def test_a_damaged_layer_is_refused(tmp_path):
    digest = raw_layer(tmp_path / "blob", entry("f", content=b"x" * 5000))
    good = (tmp_path / "blob").read_bytes()
    for bad in (good[:-10], good[:20] + b"\0" + good[21:], b"", good + b"more"):
        (tmp_path / "blob").write_bytes(bad)
        with pytest.raises(InvalidInput, match="damaged"):
            apply_layer(tmp_path / "blob", digest, tmp_path)


def test_an_opaque_whiteout_keeps_what_its_own_layer_made(tmp_path):
    target = tmp_path / "target"
    make(target, {"d": {"old": (b"1", 0o644, 1), "sub": {"older": (b"2", 0o644, 1)}}})
    digest = raw_layer(
        tmp_path / "blob", entry("d/sub/new", content=b"n"), entry("d/.wh..wh..opq"), entry("d/new", content=b"n")
    )
    apply_layer(tmp_path / "blob", digest, target)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == ["d", "d/new", "d/sub", "d/sub/new"]
