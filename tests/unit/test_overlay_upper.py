"""An overlay's upper directory as layers: what a container did to a real overlay is what an unpacked image has."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from jupyter_mlplat.agent.packages import installed
from jupyter_mlplat.errors import Conflict
from jupyter_mlplat.oci.beneath import open_beneath, opened_folder
from jupyter_mlplat.oci.layer import SourceChanged, write_layer
from jupyter_mlplat.oci.left_out import EXCLUDED, MOUNT, NOT_A_FILE, RESERVED, SECRET, Rules
from jupyter_mlplat.oci.member import Kind
from jupyter_mlplat.oci.merged import Merged
from jupyter_mlplat.oci.upper import Changes, Overlay, fingerprint, look, opener, split

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and sees trusted attributes")


class Container:
    """A mounted overlay: `root` is what its processes see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.upper, self.lower = folder / "root", folder / "upper", folder / "lower"
        for path in (self.root, self.upper, self.lower, folder / "work"):
            path.mkdir()

    def mount(self) -> None:
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.folder / 'work'},index=off"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True)

    def run(self, script: str) -> None:
        subprocess.run(["sh", "-ec", script], cwd=self.root, check=True)

    @property
    def overlay(self) -> Overlay:
        return Overlay(str(self.upper), (str(self.lower),))

    def look(self, *mounts: str, more: tuple[str, ...] = (), excluded: tuple[str, ...] = ()) -> Changes:
        return look(self.overlay, Rules(mounts, more, excluded))


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path)
    for name in ("kept", "gone", "old/deep/a", "old/b", "home/u/file", "etc/conf"):
        path = made.lower / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    made.mount()
    yield made
    subprocess.run(["umount", str(made.root)], check=True)


def paths(changes: Changes) -> list[str]:
    return [member.path for member in changes.members]


def layer(container: Container, changes: Changes) -> tarfile.TarFile:
    out = io.BytesIO()
    with opened_folder(str(container.upper)) as upper:
        write_layer(changes.members, out, opened=opener(upper))
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(out.getvalue())
    return tarfile.open(fileobj=io.BytesIO(plain))


def test_nothing_changed_is_nothing(container: Container) -> None:
    (container.root / "old").chmod((container.root / "old").stat().st_mode & 0o7777)
    (container.root / "home/u/.netrc").write_text("secret")
    changes = container.look()
    assert paths(changes) == []
    assert [(each.path, each.reason) for each in changes.left_out] == [("home/u/.netrc", SECRET)]


def test_removed_names_and_replaced_folders(container: Container) -> None:
    container.run("rm gone; rm -r old; mkdir old; echo new > old/c")
    assert paths(container.look()) == [".wh.gone", "old", "old/.wh..wh..opq", "old/c"]


def test_a_new_folder_has_no_mark(container: Container) -> None:
    (container.root / "new/empty").mkdir(parents=True)
    assert paths(container.look()) == ["new", "new/empty"]


def test_owners_modes_links_and_attributes(container: Container) -> None:
    file = container.root / "home/u/one"
    file.write_text("x")
    os.chown(file, 3_000_000, 1000)
    file.chmod(0o4711)
    os.setxattr(file, "user.colour", b"\xff\x00")
    os.link(file, container.root / "home/u/two")
    (container.root / "home/u/link").symlink_to("/etc/passwd")
    found = {entry.name: entry for entry in layer(container, container.look())}
    one, two, link = (found[f"home/u/{name}"] for name in ("one", "two", "link"))
    assert (one.uid, one.gid, one.mode) == (3_000_000, 1000, 0o4711)
    assert one.pax_headers["SCHILY.xattr.user.colour"].encode("utf-8", "surrogateescape") == b"\xff\x00"
    assert two.islnk() and two.linkname == "home/u/one"
    assert link.issym() and link.linkname == "/etc/passwd"
    assert not [key for key in one.pax_headers if "overlay" in key]


def test_what_is_no_file_and_what_would_remove_is_left_out(container: Container) -> None:
    os.mkfifo(container.root / "pipe")
    os.mknod(container.root / "device", 0o20644, os.makedev(1, 3))
    (container.root / ".wh.kept").write_text("x")
    changes = container.look()
    assert {(each.path, each.reason) for each in changes.left_out} == {
        ("pipe", NOT_A_FILE),
        ("device", NOT_A_FILE),
        (".wh.kept", RESERVED),
    }
    assert paths(changes) == []


def test_what_is_excluded_is_as_in_the_image_below(container: Container) -> None:
    container.run(
        "rm kept gone; echo new > old/b; rm -r old/deep; mkdir more; echo one > more/one; echo two > more/two"
    )
    changes = container.look(excluded=("kept", "old/deep", "more/one"))
    assert {(each.path, each.reason) for each in changes.left_out} == {
        ("kept", EXCLUDED),
        ("old/deep", EXCLUDED),
        ("more/one", EXCLUDED),
    }
    assert paths(changes) == [".wh.gone", "more", "more/two", "old", "old/b"]
    assert (changes.removed, changes.files()) == (1, [("more/two", 4), ("old/b", 4)])


def test_a_folder_that_was_replaced_hides_what_was_in_it(container: Container) -> None:
    container.run("rm -r old; mkdir old; rm -r home")
    with Merged((str(container.upper), str(container.lower))) as files:
        assert [files.hidden_by(path) for path in ("old", "old/deep/a", "home/u/file", "etc/conf", "new/x")] == [
            None, "old", "home", None, None,
        ]  # fmt: skip


def test_packages_that_are_excluded_count_as_the_image_has_them(container: Container) -> None:
    site = "opt/env/lib/python3.11/site-packages"
    for layer, version in ((container.lower, "1"), (container.upper, "2")):
        for name in ("one", "two"):
            folder = layer / site / f"{name}-{version}.dist-info"
            folder.mkdir(parents=True)
            (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    for name in ("one", "two"):
        os.mknod(container.upper / site / f"{name}-1.dist-info", 0o20000, 0)
    excluded = [f"{site}/one-1.dist-info", f"/{site}/one-2.dist-info/"]
    found = installed(container.overlay, "opt/env", excluded)
    assert [(each.name, each.version) for each in found] == [("one", "1"), ("two", "2")]


def test_mounts_and_the_administrators_list(container: Container) -> None:
    for name in ("home/u/work/file", "data/key.pem", "data/text", "home/u/.ssh/id_rsa", "home/u/.ssh/config"):
        path = container.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    changes = container.look("/home/u/work", more=("*.pem",))
    assert {(each.path, each.reason) for each in changes.left_out} == {
        ("home/u/work", MOUNT),
        ("data/key.pem", SECRET),
        ("home/u/.ssh/id_rsa", SECRET),
    }
    assert [path for path in paths(changes) if "." in path or "text" in path] == [
        "data/text",
        "home/u/.ssh",
        "home/u/.ssh/config",
    ]


@pytest.mark.parametrize("name", ["metacopy", "redirect"])
def test_content_that_is_elsewhere_is_refused(container: Container, name: str) -> None:
    (container.upper / "strange").mkdir()
    os.setxattr(container.upper / "strange", f"trusted.overlay.{name}", b"x")
    with pytest.raises(Conflict, match=name):
        container.look()


def test_a_huge_sparse_file_is_refused(container: Container) -> None:
    with (container.root / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Conflict, match="1024 GiB"):
        container.look()


def test_a_link_put_in_the_way_leads_nowhere(container: Container, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("another's")
    (container.root / "folder").mkdir()
    (container.root / "folder/file").write_text("mine")
    changes = container.look()
    container.run(f"rm -r folder; ln -s {tmp_path}/elsewhere folder")
    with pytest.raises(SourceChanged):
        layer(container, changes)
    with opened_folder(str(container.upper)) as upper, pytest.raises(OSError):
        open_beneath(upper, "../elsewhere/file")


def test_parts_can_be_unpacked_one_after_the_other(container: Container) -> None:
    container.run("rm -r old; mkdir old")
    for number in range(40):
        path = container.root / f"old/{number % 4}/{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
    os.link(container.root / "old/0/0", container.root / "old/3/link")
    changes = container.look()
    parts = split(changes, 3)
    assert len(parts) == 3
    every = [member.path for part in parts for member in part.members if member.kind is not Kind.DIRECTORY]
    assert sorted(every) == sorted(member.path for member in changes.members if member.kind is not Kind.DIRECTORY)
    assert ["old/.wh..wh..opq" in paths(part) for part in parts] == [True, False, False]
    for part in parts:
        there = set(paths(part))
        assert all(path.rpartition("/")[0] in there for path in there if "/" in path)
        targets = [(paths(part).index(m.target), paths(part).index(m.path)) for m in part.members if m.target]
        assert all(first < second for first, second in targets)


def test_a_fingerprint_is_of_one_state(container: Container) -> None:
    file = container.root / "file"
    file.write_text("one")
    first = container.look()
    assert fingerprint(first) == fingerprint(container.look())
    moment = file.stat()
    file.write_text("two")
    os.utime(file, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    assert fingerprint(first) != fingerprint(container.look())


def test_the_merged_view_is_the_mounted_one(container: Container) -> None:
    container.run("rm gone; rm -r old; mkdir old; echo n > old/c; ln -s /etc sly")
    with Merged((str(container.upper), str(container.lower))) as merged:
        for folder in ("home/u", "old", "etc"):
            assert merged.names(folder) == sorted(os.listdir(container.root / folder))
        assert merged.names("old/deep") == [] and merged.names("sly") == []
        assert merged.stat("gone") is None and merged.stat("old/deep/a") is None and merged.stat("kept")
        assert merged.read("etc/conf", 3) == b"etc" and merged.read("sly/passwd", 10) is None
        assert merged.read("old/b", 10) is None and merged.read("old/c", 10) == b"n\n"
