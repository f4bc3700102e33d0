"""Packing: what goes and what stays, the same bytes for the same content, nothing out of the folder in either way."""

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlplat.errors import Conflict, InvalidInput, TooLarge
from jupyter_mlplat.jobs.bundle import Limits, Survey, pack, survey, unpack


def fill(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def names(found: Survey) -> list[str]:
    return [file.path for file in found.files]


def reasons(found: Survey) -> dict[str, str]:
    return {row.path: row.reason for row in found.excluded}


def content_of(folder: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(folder).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_files_beside_the_notebook_go_and_caches_and_secrets_stay(tmp_path: Path) -> None:
    fill(tmp_path, dict.fromkeys(["train.ipynb", "lib/net.py", ".env.example", "data.csv"], "x"))
    fill(tmp_path, dict.fromkeys([".git/HEAD", "lib/__pycache__/net.pyc", ".env", "a/.ssh/id", "old.pyc"], "x"))
    fill(tmp_path, {"myenv/pyvenv.cfg": "", "myenv/bin/python": ""})
    found = survey(tmp_path, "train.ipynb")
    assert names(found) == [".env.example", "data.csv", "lib/net.py", "train.ipynb"]
    assert found.total_bytes == 4
    assert set(reasons(found)) == {".git/", "lib/__pycache__/", ".env", "a/.ssh/", "old.pyc", "myenv/"}
    assert "secret" in reasons(found)[".env"]


def test_mlplatignore_leaves_out_and_takes_in(tmp_path: Path) -> None:
    fill(tmp_path, {".mlplatignore": "# data\n*.csv\n!small.csv\nruns/\n!ca.pem\n!huge.bin\n"})
    fill(tmp_path, dict.fromkeys(["t.py", "big.csv", "small.csv", "runs/1/x", "ca.pem", "b.pem"], "x"))
    fill(tmp_path, {"huge.bin": b"x" * 101, "other.bin": b"x" * 101})
    found = survey(tmp_path, "t.py", Limits(file_bytes=100))
    assert names(found) == [".mlplatignore", "ca.pem", "huge.bin", "small.csv", "t.py"]
    assert reasons(found)["big.csv"] == "named in .mlplatignore"
    assert "larger than 100 B" in reasons(found)["other.bin"]


@pytest.mark.parametrize("entry", ["t.py", "__pycache__/t.py", "a/.venv/deep/t.py", "./x/../t.py"])
def test_the_entry_goes_whatever_the_rules_say(tmp_path: Path, entry: str) -> None:
    (tmp_path / "x").mkdir()
    fill(tmp_path, {entry: "print(12345)", ".mlplatignore": "*.py\n", "a/.venv/other": ""})
    found = survey(tmp_path, entry, Limits(file_bytes=10))
    assert names(found) == [".mlplatignore", os.path.normpath(entry)]
    assert found.entry == os.path.normpath(entry)


@pytest.mark.parametrize("entry", ["../out.py", "/etc/hostname", "no.py", "sub", "leads-out.py"])
def test_an_entry_that_is_no_file_of_the_folder_is_refused(tmp_path: Path, entry: str) -> None:
    fill(tmp_path, {"out.py": "", "folder/sub/x": ""})
    (tmp_path / "folder/leads-out.py").symlink_to("../out.py")
    with pytest.raises(InvalidInput, match=r"outside the folder|no file"):
        survey(tmp_path / "folder", entry)


def test_too_many_files_says_how_many_where_and_what_to_do(tmp_path: Path) -> None:
    fill(tmp_path, {"t.py": ""} | {f"images/{number}.png": "" for number in range(20)})
    with pytest.raises(TooLarge, match=r"21 files and 10 may be sent.*images \(20\).*\.mlplatignore.*input"):
        survey(tmp_path, "t.py", Limits(files=10))


def test_too_many_bytes_names_the_biggest(tmp_path: Path) -> None:
    fill(tmp_path, {"t.py": "", "weights.bin": b"x" * 3000, "small": b"x"})
    with pytest.raises(TooLarge, match=r"holds 2\.9 KiB and 2\.0 KiB may be sent.*weights\.bin \(2\.9 KiB\), small"):
        survey(tmp_path, "t.py", Limits(total_bytes=2048))


def test_links_inside_are_kept_others_stay_with_a_reason(tmp_path: Path) -> None:
    folder = fill(tmp_path / "job", {"t.py": "", "data/a.txt": "a"})
    (folder / "rel").symlink_to("data/a.txt")
    (folder / "data/abs").symlink_to(folder.resolve() / "t.py")
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "up").symlink_to("../elsewhere")
    (folder / "tree").symlink_to("data")
    os.mkfifo(folder / "pipe")
    found = survey(folder, "t.py")
    assert {file.path: file.link for file in found.files if file.link} == {
        "rel": "data/a.txt", "data/abs": "../t.py", "tree": "data",
    }  # fmt: skip
    assert {"out", "up", "pipe"} == set(reasons(found))
    pack(found, tmp_path / "b.tar.zst")
    unpack(tmp_path / "b.tar.zst", tmp_path / "new")
    assert (tmp_path / "new/tree/a.txt").read_text() == "a"
    assert (tmp_path / "new/data/abs").resolve() == (tmp_path / "new/t.py").resolve()


def test_an_entry_that_is_a_link_brings_its_file(tmp_path: Path) -> None:
    fill(tmp_path, {"build/t.py": "1", ".mlplatignore": "build/\n"})
    (tmp_path / "t.py").symlink_to("build/t.py")
    assert names(survey(tmp_path, "t.py")) == [".mlplatignore", "build/t.py", "t.py"]


def test_times_and_owners_do_not_change_the_digest_but_content_and_mode_do(tmp_path: Path) -> None:
    def digest(name: str) -> str:
        return pack(survey(tmp_path / name, "t.sh"), tmp_path / f"{name}.tar.zst").digest

    for name in ("one", "two"):
        fill(tmp_path / name, {"t.sh": "echo", "b/c": "c", "a": "a"})
    os.utime(tmp_path / "two/a", (1, 1))
    (tmp_path / "two/a").chmod(0o600)
    assert digest("one") == digest("two")
    (tmp_path / "two/t.sh").chmod(0o755)
    assert digest("one") != digest("two")
    unpack(tmp_path / "two.tar.zst", tmp_path / "new")
    assert os.access(tmp_path / "new/t.sh", os.X_OK)


FILE_NAME = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..", ".mlplatignore") and len(name.encode()) < 200)
TREE = st.dictionaries(st.lists(FILE_NAME, min_size=1, max_size=3).map("/".join), st.binary(max_size=300), max_size=8)


@settings(max_examples=60, deadline=None)
@given(TREE)
def test_what_is_packed_comes_out_again_and_packs_to_the_same_bytes(tree: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = fill(Path(place, "in"), {"entry.py": "x"})
        for name, content in tree.items():
            try:
                fill(folder, {name: content})
            except OSError:
                continue  # a name that is a file here and a folder there
        found = survey(folder, "entry.py")
        bundle = pack(found, Path(place, "one"))
        unpack(Path(place, "one"), Path(place, "out"))
        assert content_of(Path(place, "out")) == {name: (folder / name).read_bytes() for name in names(found)}
        assert pack(survey(Path(place, "out"), "entry.py"), Path(place, "two")) == bundle
        assert bundle.size == Path(place, "one").stat().st_size


def test_a_mlplatignore_that_cannot_be_read_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    fill(tmp_path, {"t.py": "", ".mlplatignore": b"\xff"})
    with pytest.raises(InvalidInput, match="mlplatignore cannot be read"):
        survey(tmp_path, "t.py")


def test_a_file_that_went_away_is_a_conflict_and_leaves_nothing(tmp_path: Path) -> None:
    found = survey(fill(tmp_path / "in", {"t.py": "", "gone": "x"}), "t.py")
    (tmp_path / "in/gone").unlink()
    with pytest.raises(Conflict, match="gone"):
        pack(found, tmp_path / "out/b")
    assert list((tmp_path / "out").iterdir()) == []


def made_by_hand(path: Path, *members: tuple[str, bytes | str | bytes]) -> Path:
    """A bundle of (name, content) and, where the content is text, of (name, link target)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            if isinstance(content, str):
                header.type, header.linkname = tarfile.SYMTYPE, content
                tar.addfile(header)
            else:
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
    path.write_bytes(zstandard.compress(packed.getvalue()))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../x", b"")],
        [("/etc/x", b"")],
        [("a/../../x", b"")],
        [("a//x", b"")],
        [("link", "../out")],
        [("link", "/etc")],
        [("a", b""), ("a", b"")],
        [("a", b""), ("a/b", b"")],
        [("d", "."), ("d/x", b"")],
        [("d", "."), ("e", "d/..")],
        [("x" * 300, b"")],
    ],
)
def test_a_bundle_that_reaches_out_is_refused_whole(tmp_path: Path, members: list[tuple[str, bytes | str]]) -> None:
    bundle = made_by_hand(tmp_path / "b", ("good", b"1"), *members)
    with pytest.raises(InvalidInput):
        unpack(bundle, tmp_path / "in/out")
    assert list((tmp_path / "in").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"b", "in"}


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_bundle_with_something_special_is_refused(tmp_path: Path, kind: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        header = tarfile.TarInfo("odd")
        header.type, header.linkname = kind, "odd2"
        tar.addfile(header)
    (tmp_path / "b").write_bytes(zstandard.compress(packed.getvalue()))
    with pytest.raises(InvalidInput, match="neither a file nor a link"):
        unpack(tmp_path / "b", tmp_path / "out")


def test_bombs_are_stopped_at_the_limits(tmp_path: Path) -> None:
    bundle = made_by_hand(tmp_path / "big", ("zeros", bytes(5_000_000)))
    assert bundle.stat().st_size < 1000
    with pytest.raises(TooLarge, match=r"unpacks to more than 976\.6 KiB"):
        unpack(bundle, tmp_path / "out", Limits(total_bytes=1_000_000))
    bundle = made_by_hand(tmp_path / "many", *((str(number), b"") for number in range(50)))
    with pytest.raises(TooLarge, match="more than 10 files"):
        unpack(bundle, tmp_path / "out", Limits(files=10))


def test_a_header_without_end_is_stopped(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 50_000_000
    (tmp_path / "b").write_bytes(zstandard.compress(header.tobuf() + bytes(50_000_000)))
    with pytest.raises(InvalidInput, match="headers without end"):
        unpack(tmp_path / "b", tmp_path / "out")


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "in", {"t.py": os.urandom(30_000), "u.py": os.urandom(30_000)})
    pack(survey(folder, "t.py"), tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    for damaged in (b"", b"not a bundle", whole[: len(whole) // 2], whole[:-60]):
        (tmp_path / "b").write_bytes(damaged)
        with pytest.raises(InvalidInput):
            unpack(tmp_path / "b", tmp_path / "out")
        assert not (tmp_path / "out").exists()
