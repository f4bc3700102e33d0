"""Images of the Kubernetes back end: what is asked of agents, what catalogues and configs say. All by value."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.agent.messages import Failed
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.imaging import SaveSpec
from jupyter_mlplat.backends.kubernetes import catalog
from jupyter_mlplat.backends.kubernetes.agent import raised
from jupyter_mlplat.backends.kubernetes.catalog import Reference
from jupyter_mlplat.backends.kubernetes.images import left_out_words, owner_folder, save_request
from jupyter_mlplat.errors import Conflict, InvalidInput, NoSpace, NotFound
from jupyter_mlplat.flavors.models import Flavor
from jupyter_mlplat.oci.child import NewLayer, Note, child_config, child_manifest, choose_platform
from jupyter_mlplat.oci.left_out import CACHE, MOUNT, SECRET, SESSION, Rules
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, Descriptor, Manifest

DIGEST = "sha256:" + "a" * 64
FLAVOR = Flavor(id="f", name="f", vcpus=1, memory_mib=1024)
INSTANCE = InstanceSpec("i-1", "alice", "lab", "m-1", DIGEST, "python:1", FLAVOR, f"reg:5000/p/python@{DIGEST}")
SPEC = SaveSpec("m-2", INSTANCE, "mine", "v1", "words", "alice")


def pod(state: str = "running") -> dict[str, Any]:
    status = {"name": "notebook", "state": {state: {}}, "containerID": "containerd://abc"}
    return {
        "metadata": {"name": "instance-i-1", "namespace": "users", "uid": "u"},
        "status": {"containerStatuses": [status]},
    }


def test_what_an_agent_is_asked() -> None:
    request = save_request(SPEC, pod(), "p/")
    assert (request.container_id, request.parent) == ("abc", f"reg:5000/p/python@{DIGEST}")
    assert (request.repository, request.tag) == ("p/alice/mine", "v1")
    assert request.labels["mlplat.image.id"] == "m-2" and request.labels["mlplat.instance.id"] == "i-1"


def test_a_pod_that_does_not_run_is_not_saved() -> None:
    with pytest.raises(Conflict, match="does not run"):
        save_request(SPEC, pod("terminated"), "p/")


def test_owners_never_share_a_repository() -> None:
    names = ["alice", "Alice", "alice@example.org", "alice-example.org", "a..b", "a-b", "爱丽丝", "x" * 80, "x" * 81]
    folders = [owner_folder(name) for name in names]
    assert len(set(folders)) == len(names) and folders[0] == "alice"
    assert all(
        len(folder) <= 60 and not set(folder) - set("abcdefghijklmnopqrstuvwxyz0123456789.-_") for folder in folders
    )


def test_a_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[[preset]]\nname = "python"\ntag = "1"\nreference = "reg:5000/p/python:dev"\ndefault = true\n')
    (preset,) = catalog.load(path)
    assert preset.ref == "python:1" and preset.default and preset.categories == ("CPU",)
    assert preset.reference == Reference("reg:5000", "p/python", "dev")
    assert catalog.find((preset,), "python:1") is preset
    with pytest.raises(NotFound, match="There are: python:1"):
        catalog.find((preset,), "python:2")
    path.write_text(f"{path.read_text()}retires = 2027-01-31\ninstead = 'python:2'\n")
    (preset,) = catalog.load(path)
    assert (preset.retires_on, preset.instead) == (date(2027, 1, 31), "python:2")
    path.write_text('[[preset]]\nname = "python"\ntag = "1"\n')
    with pytest.raises(InvalidInput, match="has no reference"):
        catalog.load(path)
    assert catalog.load(None) == ()


@pytest.mark.parametrize("text", ["python", "reg/UPPER:1", "reg/a@sha256:12", "", "reg/a b:1"])
def test_what_names_no_image(text: str) -> None:
    with pytest.raises(InvalidInput, match="names no image"):
        Reference.parse(text)


def test_references_come_back_as_they_were() -> None:
    for text in ("reg:5000/a/b:tag", f"reg/a/b@{DIGEST}"):
        assert str(Reference.parse(text)) == text


def test_an_agents_words_become_the_error_that_they_were() -> None:
    assert isinstance(raised(Failed(code=NoSpace.code, message="full")), NoSpace)
    assert raised(Failed(code="NEW", message="words")).message == "words"


def test_what_stayed_behind_in_words() -> None:
    assert left_out_words(["a", "b"], 2).endswith(": a, b")
    assert left_out_words(["a", "b", "c", "d"], 9).endswith(": a, b, c and 6 more")


def test_a_child_keeps_what_its_parent_says() -> None:
    parent = {"config": {"User": "1000", "Cmd": ["x"], "Labels": {"a": "1"}}, "rootfs": {"diff_ids": ["sha256:0"]}}
    layer = NewLayer(DIGEST, "sha256:plain", 5)
    note = Note("alice", datetime(2026, 1, 1, tzinfo=UTC), "saved")
    child = json.loads(child_config(json.dumps(parent).encode(), [layer], {"b": "2"}, note))
    assert child["config"] == {"User": "1000", "Cmd": ["x"], "Labels": {"a": "1", "b": "2"}}
    assert child["rootfs"]["diff_ids"] == ["sha256:0", "sha256:plain"]
    assert [step["created_by"] for step in child["history"]] == ["saved"]


def test_a_child_of_dockers_image_is_an_oci_image() -> None:
    gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    parent = Manifest(Descriptor("x", DIGEST, 1), (Descriptor(gzip, DIGEST, 7),))
    child = child_manifest(parent, b"{}", [NewLayer("sha256:new", "d", 5)])
    assert [layer.media_type for layer in child.layers] == ["application/vnd.oci.image.layer.v1.tar+gzip", LAYER]
    assert child.config.media_type == CONFIG and child.size == 12
    with pytest.raises(Conflict, match="more than can be added to"):
        child_manifest(Manifest(parent.config, parent.layers * 120), b"{}", [NewLayer("s", "d", 1)])


def test_an_index_offers_architectures() -> None:
    index = {"manifests": [{"digest": "one", "platform": {"os": "linux", "architecture": "arm64"}}]}
    assert choose_platform(index, "arm64") == "one" and choose_platform(index, "amd64") is None


@pytest.mark.parametrize(
    ("path", "folder", "reason"),
    [
        ("home/u/.ssh/id_rsa", False, SECRET),
        ("home/u/.ssh/id_rsa.pub", False, None),
        ("home/u/.ssh/known_hosts", False, None),
        ("root/.aws", True, SECRET),
        ("home/u/.docker/config.json", False, SECRET),
        ("home/u/.docker/daemon.json", False, None),
        ("home/u/.kube", True, SECRET),
        ("run/secrets", True, SECRET),
        ("home/u/.config/gcloud", True, SECRET),
        ("home/u/.local/share/jupyter/runtime", True, SESSION),
        ("home/u/.local/share/jupyter/kernels", True, None),
        ("home/u/.vscode-server", True, SESSION),
        ("home/u/.cache/JetBrains", True, SESSION),
        ("home/u/.ipython/profile_default/history.sqlite", False, SESSION),
        ("home/u/.ipython/profile_default/startup/mine.py", False, None),
        ("tmp/file", False, CACHE),
        ("opt/tmp/file", False, None),
        ("cache", True, None),
        ("cache/file", False, CACHE),
        ("etc/hosts", False, MOUNT),
        ("home/u/work", True, MOUNT),
        ("opt/mlplat/env/lib/python3.11/site-packages/numpy/core.py", False, None),
        ("data/tls.pem", False, SECRET),
        ("home/u/.netrc", False, None),
    ],
)
def test_what_never_goes_into_an_image(path: str, folder: bool, reason: str | None) -> None:
    rules = Rules(["/home/u/work", "/"], ["*.pem", "!.netrc"])
    assert rules.reason(path, folder=folder) == reason


def test_a_line_that_is_no_pattern() -> None:
    with pytest.raises(InvalidInput, match="no pattern"):
        Rules([], ["!"])
