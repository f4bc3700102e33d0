"""The file API on MinIO, as users of moxing write it."""

import os
from pathlib import Path

import pytest

import jupyter_mlplat.mox as mox
from jupyter_mlplat.errors import InvalidInput
from jupyter_mlplat.storage.engine import failures
from jupyter_mlplat.storage.engine.s3 import LARGE, S3Store

pytestmark = pytest.mark.usefixtures("variables")


def fill(folder: Path) -> dict[str, bytes]:
    """A small tree; relative paths and what is in them."""
    files = {"a.txt": b"a", "sub/b.bin": b"b" * 1000, "sub/deep/c é #1.txt": b"", "large": os.urandom(LARGE + 7)}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_text_and_bytes_are_written_read_and_appended(root: str) -> None:
    mox.file.write(f"{root}/t.txt", "größer")
    mox.file.append(f"{root}/t.txt", "\nzwei")
    assert mox.file.read(f"{root}/t.txt") == "größer\nzwei"
    mox.file.write(f"{root}/b", b"\x00\xff", binary=True)
    mox.file.append(f"{root}/new", b"\xfe", binary=True)
    mox.file.append_remote(f"{root}/new", f"{root}/b")
    assert mox.file.read(f"{root}/b", binary=True) == b"\x00\xff\xfe"


def test_what_is_appended_to_a_large_object_does_not_move_the_rest(root: str, tmp_path: Path) -> None:
    data = os.urandom(LARGE)
    (tmp_path / "large").write_bytes(data)
    mox.file.copy(str(tmp_path / "large"), f"{root}/large")
    mox.file.append(f"{root}/large", b"end", binary=True)
    assert mox.file.read(f"{root}/large", binary=True) == data + b"end"


def test_a_folder_goes_up_across_and_down(root: str, tmp_path: Path) -> None:
    files = fill(tmp_path / "here")
    (tmp_path / "here/empty").mkdir()
    mox.file.copy_parallel(str(tmp_path / "here"), f"{root}/up")
    mox.file.copy_parallel(f"{root}/up/", f"{root}/across", threads=3)
    mox.file.copy_parallel(f"{root}/across".replace("obs://", "s3://"), str(tmp_path / "back"))
    assert content(tmp_path / "back") == files
    assert (tmp_path / "back/empty").is_dir()
    assert not list(tmp_path.rglob("*.part"))


def test_a_list_of_files_and_a_single_file_are_copied_too(root: str, tmp_path: Path) -> None:
    fill(tmp_path / "here")
    mox.file.copy_parallel(str(tmp_path / "here"), f"{root}/some", file_list=["a.txt", "sub/b.bin"])
    assert mox.file.list_directory(f"{root}/some", recursive=True) == ["a.txt", "sub", "sub/b.bin"]
    mox.file.copy_parallel(f"{root}/some/a.txt", str(tmp_path / "one.txt"))
    assert (tmp_path / "one.txt").read_bytes() == b"a"
    mox.file.copy(f"{root}/some/a.txt", str(tmp_path))
    assert (tmp_path / "a.txt").exists()


def test_what_is_there_is_listed_and_measured(root: str, tmp_path: Path) -> None:
    files = fill(tmp_path / "here")
    mox.file.copy_parallel(str(tmp_path / "here"), f"{root}/d")
    assert mox.file.list_directory(f"{root}/d") == ["a.txt", "large", "sub"]
    assert mox.file.list_directory(f"{root}/d", skip_file=True, remove_sep=False) == ["sub/"]
    assert mox.file.list_directory(f"{root}/d", recursive=True, skip_dir=True) == sorted(files)
    assert list(mox.file.walk(f"{root}/d/sub")) == [
        (f"{root}/d/sub", ["deep"], ["b.bin"]), (f"{root}/d/sub/deep", [], ["c é #1.txt"]),
    ]  # fmt: skip
    assert mox.file.glob(f"{root}/d/*.txt") == [f"{root}/d/a.txt"]
    assert mox.file.glob(f"{root}/d/**/*.txt") == [f"{root}/d/a.txt", f"{root}/d/sub/deep/c é #1.txt"]
    with mox.file.scan_dir(f"{root}/d") as entries:
        assert [(entry.path, entry.is_dir(), entry.stat().length) for entry in entries] == [
            (f"{root}/d/a.txt", False, 1), (f"{root}/d/large", False, LARGE + 7), (f"{root}/d/sub", True, 0),
        ]  # fmt: skip
    assert mox.file.get_size(f"{root}/d/sub/b.bin") == 1000
    assert mox.file.get_size(f"{root}/d", recursive=True) == sum(map(len, files.values()))


def test_facts_are_those_of_files_and_of_folders(root: str) -> None:
    mox.file.write(f"{root}/d/a", "abc")
    facts = mox.file.stat(f"{root}/d/a")
    assert (facts.length, facts.is_directory, facts.st_size) == (3, False, 3)
    assert facts.mtime_nsec > 1_700_000_000 * 10**9
    assert mox.file.stat(f"{root}/d").is_directory
    assert mox.file.exists(f"{root}/d/a") and mox.file.exists(f"{root}/d/") and mox.file.exists(root)
    assert not mox.file.exists(f"{root}/d/a/") and not mox.file.exists(f"{root}/d/ab")
    assert mox.file.is_directory(f"{root}/d") and not mox.file.is_directory(f"{root}/d/a")
    with pytest.raises(mox.file.MoxFileNotExistsException, match="no object"):
        mox.file.stat(f"{root}/nothing")


def test_folders_are_made_renamed_and_removed(root: str) -> None:
    mox.file.make_dirs(f"{root}/a/b")
    assert mox.file.is_directory(f"{root}/a/b") and mox.file.list_directory(f"{root}/a/b") == []
    with pytest.raises(FileNotFoundError, match="make_dirs"):
        mox.file.mk_dir(f"{root}/x/y")
    mox.file.mk_dir(f"{root}/x")
    with pytest.raises(FileExistsError):
        mox.file.mk_dir(f"{root}/x")
    mox.file.write(f"{root}/a/b/c", "c")
    mox.file.rename(f"{root}/a", f"{root}/z")
    assert mox.file.list_directory(root, recursive=True, skip_dir=True) == ["z/b/c"]
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        mox.file.remove(f"{root}/z")
    mox.file.remove(f"{root}/z", recursive=True)
    mox.file.remove(f"{root}/x", recursive=True)
    assert mox.file.list_directory(root) == []
    with pytest.raises(FileNotFoundError):
        mox.file.remove(f"{root}/z")


def test_a_file_is_read_and_written_like_one_of_this_machine(root: str) -> None:
    with mox.file.File(f"{root}/f.txt", "w") as file:
        file.writelines(["eins\n", "zwei\n"])
    with mox.file.File(f"{root}/f.txt") as file:
        assert file.readline() == "eins\n" and list(file) == ["zwei\n"]
    with mox.file.File(f"{root}/f.txt", "ab") as file:
        file.write(b"drei")
    with mox.file.File(f"{root}/f.txt", "br") as file:
        file.seek(-4, 2)
        assert (file.read(), file.tell(), file.size()) == (b"drei", 14, 14)


def test_a_block_that_fails_leaves_what_was_there(root: str, store: S3Store, bucket: str) -> None:
    mox.file.write(f"{root}/f", "old")

    def write(mode: str, data: str | bytes) -> None:
        with mox.file.File(f"{root}/f", mode) as file:
            file.write(data)
            raise ZeroDivisionError

    for mode, data in (("w", "new"), ("wb", b"new" * LARGE)):
        with pytest.raises(ZeroDivisionError):
            write(mode, data)
        assert mox.file.read(f"{root}/f") == "old"
    assert "Uploads" not in store._exact.s3.list_multipart_uploads(Bucket=bucket, Prefix="f")


def test_an_object_cannot_be_changed_in_the_middle(root: str) -> None:
    with pytest.raises(InvalidInput, match="Copy it first"):
        mox.file.File(f"{root}/f", "r+")


def test_names_that_cannot_be_files_here_are_refused(root: str, tmp_path: Path) -> None:
    mox.file.write(f"{root}/d/x", "x")
    with pytest.raises(InvalidInput, match="cannot be a file below"):
        mox.file.copy_parallel(f"{root}/", str(tmp_path / "out"), file_list=["../outside"])
    assert not (tmp_path / "outside").exists()


def test_what_is_missing_is_said(root: str, tmp_path: Path) -> None:
    with pytest.raises(failures.NoSuchBucket, match="no bucket nowhere-at-all"):
        mox.file.read("obs://nowhere-at-all/x")
    with pytest.raises(failures.NoSuchBucket, match="S3_ENDPOINT"):
        mox.file.stat("obs://nowhere-at-all/x")
    for call in (mox.file.read, mox.file.get_size, mox.file.remove, mox.file.list_directory):
        with pytest.raises(FileNotFoundError, match="There is no"):
            call(f"{root}/missing")
    with pytest.raises(FileNotFoundError, match="no folder"):
        mox.file.copy_parallel(f"{root}/missing", str(tmp_path / "out"))


def test_wrong_keys_and_addresses_are_said(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        for call in (mox.file.read, mox.file.stat, mox.file.list_directory):
            with pytest.raises(PermissionError, match="AWS_SECRET_ACCESS_KEY"):
                call(f"{root}/x")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        with pytest.raises(PermissionError, match="does not know the access key nobody"):
            mox.file.write(f"{root}/x", "x")
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:1")
    mox.file.set_auth(retry=0)
    for call in (mox.file.read, mox.file.list_directory):
        with pytest.raises(failures.StoreUnreachable, match="S3_ENDPOINT"):
            call(f"{root}/x")
