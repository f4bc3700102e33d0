"""The node agent's doors, and what it makes of the runtime's answers."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from jupyter_mlplat.agent.journal import Journal, WrittenLayer
from jupyter_mlplat.agent.layers import Meter
from jupyter_mlplat.agent.messages import Progress, SaveRequest, split_reference
from jupyter_mlplat.agent.powers import missing_powers
from jupyter_mlplat.agent.runtime import check_identity, check_users, overlay_of
from jupyter_mlplat.agent.saving import _watched
from jupyter_mlplat.agent.signing import WINDOW, Asked, Verifier, sign
from jupyter_mlplat.agent.wire import runtime_pb2 as wire
from jupyter_mlplat.errors import BackendFailure, Conflict, NotAuthenticated, NotFound

ASKED = Asked("POST", "/v1/save", b'{"pod": "one"}', "node1")
DIGEST = "sha256:" + "0" * 64
REQUEST = SaveRequest(
    namespace="users", pod="instance-1", pod_uid="u", container="notebook", container_id="c",
    parent=f"reg:5000/mlplat/python@{DIGEST}", repository="p/alice/x", tag="1", author="alice", step="s", labels={},
)  # fmt: skip


def test_a_signed_request_is_let_in_once() -> None:
    verifier = Verifier("secret")
    header, nonce = sign("secret", ASKED)
    assert verifier.check(header, ASKED) == nonce
    with pytest.raises(NotAuthenticated, match="made before"):
        verifier.check(header, ASKED)


@pytest.mark.parametrize(
    "other",
    [
        Asked("GET", "/v1/save", ASKED.body, "node1"),
        Asked("POST", "/v1/other", ASKED.body, "node1"),
        Asked("POST", "/v1/save", b'{"pod": "two"}', "node1"),
        Asked("POST", "/v1/save", ASKED.body, "node2"),
    ],
)
def test_a_signature_is_good_for_one_thing_only(other: Asked) -> None:
    header, _ = sign("secret", ASKED)
    with pytest.raises(NotAuthenticated, match="wrong"):
        Verifier("secret").check(header, other)


@pytest.mark.parametrize("header", ["", "Bearer x", "MLPLAT-HMAC-SHA256 time=1,nonce=0,signature=0"])
def test_what_is_not_signed_is_not_let_in(header: str) -> None:
    with pytest.raises(NotAuthenticated, match="not signed"):
        Verifier("secret").check(header, ASKED)


def test_another_secret_and_another_time_are_not_let_in() -> None:
    header, _ = sign("other", ASKED)
    with pytest.raises(NotAuthenticated, match="wrong"):
        Verifier("secret").check(header, ASKED)
    header, _ = sign("secret", ASKED)
    verifier = Verifier("secret")
    for later in (WINDOW + 2, -WINDOW - 2):
        verifier.clock = lambda later=later: time.time() + later
        with pytest.raises(NotAuthenticated, match="stale"):
            verifier.check(header, ASKED)


def test_a_request_from_before_a_restart_is_stale() -> None:
    header, _ = sign("secret", ASKED)
    with pytest.raises(NotAuthenticated, match="stale"):
        Verifier("secret", clock=lambda: time.time() + 5).check(header, ASKED)


def test_without_a_secret_there_is_no_agent() -> None:
    with pytest.raises(ValueError, match="everybody"):
        Verifier("")


def test_another_container_is_not_saved() -> None:
    labels = {
        "io.kubernetes.pod.namespace": "users", "io.kubernetes.pod.name": "instance-1", "io.kubernetes.pod.uid": "u",
        "io.kubernetes.container.name": "notebook",
    }  # fmt: skip
    check_identity(labels, REQUEST)
    for label in labels:
        with pytest.raises(NotFound):
            check_identity({**labels, label: "other"}, REQUEST)


def mount(*options: str, kind: str = "overlay") -> list[wire.Mount]:
    return [wire.Mount(type=kind, source=kind, options=options)]


def folders(root: Path) -> tuple[str, str, str]:
    for number in ("1", "2", "3"):
        (root / "snapshots" / number / "fs").mkdir(parents=True)
    upper, first, second = (f"{root}/snapshots/{number}/fs" for number in ("3", "2", "1"))
    return upper, first, second


def test_the_overlay_is_what_the_runtime_says(tmp_path: Path) -> None:
    upper, first, second = folders(tmp_path)
    given = mount("index=off", f"workdir={tmp_path}/w", f"upperdir={upper}", f"lowerdir={first}:{second}")
    overlay = overlay_of("overlayfs", given, tmp_path)
    assert (overlay.upper, overlay.lowers, overlay.user_xattrs) == (upper, (first, second), False)


def test_folders_elsewhere_are_not_believed(tmp_path: Path) -> None:
    upper, first, _ = folders(tmp_path)
    (tmp_path / "snapshots/4").symlink_to("/etc")
    for bad in ("/etc", f"{tmp_path}/snapshots/../../etc/fs", f"{tmp_path}/snapshots/4/fs"):
        for options in ((f"upperdir={bad}", f"lowerdir={first}"), (f"upperdir={upper}", f"lowerdir={bad}")):
            with pytest.raises(BackendFailure, match="no snapshot"):
                overlay_of("overlayfs", mount(*options), tmp_path)


@pytest.mark.parametrize(
    ("snapshotter", "options", "kind", "words"),
    [
        ("zfs", (), "zfs", "only containers on overlayfs"),
        ("overlayfs", (), "bind", "only containers on overlayfs"),
        ("overlayfs", ("lowerdir=/a",), "overlay", "not writable"),
        ("overlayfs", ("metacopy=on", "upperdir=/a", "lowerdir=/b"), "overlay", "metacopy"),
        ("overlayfs", ("redirect_dir=on", "upperdir=/a", "lowerdir=/b"), "overlay", "redirect_dir"),
        ("overlayfs", ("uidmap=0:1000:1", "upperdir=/a", "lowerdir=/b"), "overlay", "id-mapped"),
    ],
)
def test_what_cannot_be_saved_is_refused_in_words(
    tmp_path: Path, snapshotter: str, options: tuple[str, ...], kind: str, words: str
) -> None:
    with pytest.raises(Conflict, match=words):
        overlay_of(snapshotter, mount(*options, kind=kind), tmp_path)


def test_a_user_namespace_is_refused() -> None:
    check_users({"runtimeSpec": {"linux": {}}})
    with pytest.raises(Conflict, match="hostUsers"):
        check_users({"runtimeSpec": {"linux": {"uidMappings": [{"containerID": 0}]}}})


def test_the_journal_survives_and_forgets_what_is_damaged(tmp_path: Path) -> None:
    layer = WrittenLayer(DIGEST, DIGEST, 5, "p/alice/x")
    Journal(tmp_path).note("key", layer)
    assert Journal(tmp_path).find("key") == layer
    (tmp_path / "layers.json").write_text("{")
    assert Journal(tmp_path).find("key") is None


def test_a_reference_in_its_parts() -> None:
    assert split_reference(f"reg:5000/a/b@{DIGEST}") == ("reg:5000", "a/b", DIGEST)
    assert split_reference(f"reg/a/b:tag@{DIGEST}") == ("reg", "a/b", DIGEST)


def test_the_powers_that_an_agent_lacks() -> None:
    assert missing_powers("CapEff:\t0000000000000004\n") == ["CAP_SYS_ADMIN"]
    assert missing_powers("CapEff:\t0000000000200004\n") == []


async def test_work_is_told_of_and_ends_with_who_watches_it() -> None:
    meter, ended = Meter("Looking", total=7), asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(0 if meter.done else 3600)
            return "made"
        finally:
            ended.set()

    async with aclosing(_watched(work(), meter)) as told:
        assert await anext(told) == Progress(message="Looking", total=7)
        await asyncio.sleep(0)  # the work begins
    assert ended.is_set() and meter.cancelled.is_set()

    meter = Meter("Looking", done=1)
    assert [each async for each in _watched(work(), meter)][-1] == "made"
