"""Builds of the Kubernetes back end: the Job, what is said of it, and the image that comes of it. All by value."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.backends.imaging import BuildSpec
from jupyter_mlplat.backends.kubernetes.build_folder import Below, BuildFolder, Plan
from jupyter_mlplat.backends.kubernetes.build_job import job, secret
from jupyter_mlplat.backends.kubernetes.build_result import TITLE, VERSION, image_of, packages_after, parent_of
from jupyter_mlplat.backends.kubernetes.build_view import Situation, failure, last_step, view
from jupyter_mlplat.backends.kubernetes.registry_image import check_usable, packages_of
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.builder.messages import Result, ResultLayer
from jupyter_mlplat.errors import Conflict, InvalidInput
from jupyter_mlplat.oci.manifest import CONFIG, LAYER, Descriptor, Manifest, encode

Json = dict[str, Any]

SPEC = BuildSpec("m-1", "alice", "vision", "1", "words", "FROM python:3.11", Path("/bundle"), ())
LABELS = {TITLE: "vision", VERSION: "1", "mlplat.image.id": "m-1"}
LOG = """STEP 1/3: FROM python:3.11
STEP 2/3: COPY . /tmp
Copying blob sha256:0
STEP 3/3: RUN pip install nothing-such
ERROR: No matching distribution
error building at STEP "RUN pip install nothing-such": exit status 1
"""


def settings(**more: Any) -> KubernetesSettings:
    given: Json = {"build_image": "reg/builder:1", "build_messenger": "reg/platform:1", **more}
    return KubernetesSettings(api_url="http://p", registry="reg", **given)


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def below(name: str, *letters: str, labels: dict[str, str] | None = None) -> Below:
    layers = tuple(Descriptor(LAYER, digest(letter.upper().lower()), 10) for letter in letters)
    manifest = Manifest(Descriptor(CONFIG, digest("f"), 5), layers)
    config = {"rootfs": {"diff_ids": [f"plain-{letter}" for letter in letters]}, "config": {"Labels": labels or {}}}
    return Below(name, f"p/{name}", digest("d"), "m", encode(manifest.document()).decode(), config)


def result(*letters: str, own: str = "e", **more: Any) -> Result:
    layers = [ResultLayer(diff_id=f"plain-{letter}", digest="", size=0) for letter in letters]
    layers.append(ResultLayer(diff_id=f"plain-{own}", digest=digest(own), size=7))
    config = {
        "architecture": "amd64",
        "config": {"User": "1000:1000", "Labels": {"mlplat.python": "3.11", "mlplat.packages": '[["pip", "25.0"]]'}},
        "rootfs": {"diff_ids": [layer["diff_id"] for layer in layers]},
        "history": [{"created_by": letter} for letter in letters]
        + [{"created_by": "RUN true", "empty_layer": True}, {"created_by": "USER 1000"}],
    }
    return Result(code=0, config=json.dumps(config), layers=layers, added=[("einops", "1")], removed=[], **more)


def test_the_build_has_no_right_but_what_a_user_namespace_takes() -> None:
    pod = job(SPEC, settings(), api="http://p/v1")["spec"]["template"]["spec"]
    sync, build = pod["containers"]
    assert build["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "readOnlyRootFilesystem": True,
    }
    assert sync["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not pod["automountServiceAccountToken"] and pod["securityContext"]["runAsNonRoot"]
    mounted = {mount["name"] for mount in build["volumeMounts"]}
    assert "token" not in mounted and "token" in {mount["name"] for mount in sync["volumeMounts"]}
    assert [variable["name"] for variable in build["env"]] == ["STORAGE_DRIVER"]
    assert build["resources"]["limits"] == {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "20Gi"}


def test_a_build_ends_by_itself_and_is_tried_once() -> None:
    made = job(SPEC, settings(build_time=timedelta(minutes=5)), api="http://p/v1")
    assert (made["spec"]["backoffLimit"], made["spec"]["activeDeadlineSeconds"]) == (0, 300)
    assert secret(SPEC, "word")["metadata"]["name"] == made["metadata"]["name"] == "build-m-1"


def test_profiles_are_left_out_where_that_is_asked() -> None:
    build = job(SPEC, settings(build_unconfined=True), api="a")["spec"]["template"]["spec"]["containers"][1]
    assert build["securityContext"]["seccompProfile"] == {"type": "Unconfined"}


def situation(pod: Json | None = None, conditions: list[Json] | None = None, **more: Any) -> Situation:
    given = {"events": [], "log": "", "begun": True} | more
    made: Json = {"status": {"conditions": conditions or []}}
    return Situation(job=given.pop("job", made), pods=[pod] if pod else [], **given)


def pod(build: Json | None = None, sync: Json | None = None, **status: Any) -> Json:
    states = [{"name": "build", "state": build or {"running": {}}}, {"name": "sync", "state": sync or {"running": {}}}]
    return {"status": {"phase": "Running", "containerStatuses": states, **status}}


@pytest.mark.parametrize(
    ("seen", "words", "over", "hopeless"),
    [
        (situation(job=None), "The build's pod is gone", True, False),
        (situation(), "Waiting for the cluster", False, False),
        (situation(pod(), begun=False), "Starting the builder", False, False),
        (situation(pod()), "Bringing the files", False, False),
        (situation(pod(), log=LOG), "STEP 3/3: RUN pip install nothing-such", False, False),
        (situation(conditions=[{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]),
         "longer than the 60 min", True, False),
        (situation(conditions=[{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]),
         "The build's pod is gone", True, False),
        (situation(pod(), conditions=[{"type": "Failed", "status": "True"}]), "without a result", True, False),
        (situation(events=[{"reason": "FailedCreate", "message": "violates PodSecurity"}]),
         "makes no pod for the build: violates PodSecurity", False, True),
        (situation(pod(build={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})),
         "cannot be started: not found", False, True),
        (situation(pod(build={"terminated": {"reason": "OOMKilled", "exitCode": 137}})), "more memory", True, False),
        (situation(pod(build={"terminated": {"exitCode": 137}})), "ended from outside", True, False),
        (situation(pod(build={"terminated": {"exitCode": 0}})), "Bringing", False, False),
        (situation(pod(sync={"terminated": {"exitCode": 0}})), "without a result", True, False),
        (situation(pod(reason="Evicted", message="disk")), "was evicted: disk.", True, False),
    ],
)  # fmt: skip
def test_what_is_said_of_a_build(seen: Situation, words: str, over: bool, hopeless: bool) -> None:
    found = view(seen, settings())
    assert words in found.words
    assert (found.over, found.hopeless) == (over, hopeless)


def test_a_failure_names_the_step_and_the_last_lines() -> None:
    words = failure(LOG, 1)
    assert words.startswith("The build failed at STEP 3/3: RUN pip install nothing-such (exit code 1).")
    assert "ERROR: No matching distribution" in words and "Copying blob" not in words
    assert failure("", 125) == "The build failed before its first step (exit code 125)."
    assert last_step("[1/2] STEP 2/4: COPY a /b\n") == "STEP 2/4: COPY a /b"


def test_an_image_stands_on_what_has_its_lowest_layers() -> None:
    known = [below("other", "x"), below("python", "a"), below("torch", "a", "b")]
    assert parent_of(known, result("a", "b")) == known[2]
    assert parent_of(known, result("a")) == known[1]
    assert parent_of(known, result("b")) is None


def test_what_was_built_keeps_the_layers_below_as_they_are() -> None:
    image, config = image_of(SPEC, [below("python", "a", "b")], result("a", "b"), LABELS)
    assert [layer.digest for layer in image.manifest.layers] == [digest("a"), digest("b"), digest("e")]
    assert image.manifest.config.size == len(config)
    assert [layer.step for layer in image.layers] == ["a", "b", "vision:1, built"]
    assert [package.name for package in packages_of(image)] == ["einops", "pip"]
    assert image.labels["mlplat.image.id"] == "m-1"
    check_usable("vision:1", image)


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"rootfs": {"diff_ids": ["other"]}}'])
def test_what_is_no_image_is_refused(config: str) -> None:
    broken = result("a")
    broken["config"] = config
    with pytest.raises(InvalidInput, match="no whole image"):
        image_of(SPEC, [below("python", "a")], broken, LABELS)


def test_a_layer_that_nobody_knows_is_refused() -> None:
    broken = result("a")
    broken["layers"][0]["diff_id"] = "plain-unknown"
    with pytest.raises(InvalidInput, match="no whole image"):
        image_of(SPEC, [below("python", "a")], broken, LABELS)


def test_packages_come_and_go() -> None:
    before = json.dumps([["NumPy", "1.0"], ["pip", "25.0"]])
    assert packages_after(before, Result(added=[("numpy", "2.0")], removed=["numpy"])) == [
        ("numpy", "2.0"),
        ("pip", "25.0"),
    ]
    assert packages_after(before, Result(removed=["*"], added=[("six", "1")])) == [("six", "1")]
    assert packages_after(None, Result()) == []


def test_the_first_pod_alone_is_heard(tmp_path: Path) -> None:
    folder, bundle = BuildFolder(tmp_path / "builds" / "m-1"), tmp_path / "bundle"
    bundle.write_bytes(b"packed")
    assert folder.plan is None and not folder.begun and folder.log_size == 0 and folder.tail == ""
    plan = Plan("p/alice/vision", "FROM python:3.11", [below("python", "a")])
    folder.keep_plan(plan, bundle)
    bundle.unlink()
    assert folder.plan == plan and folder.bundle.read_bytes() == b"packed"
    assert folder.begin("one") == 0 and folder.begun
    with pytest.raises(Conflict):
        folder.begin("two")
    assert folder.append("one", 0, b"hello ") == 6
    assert folder.append("one", 0, b"hello world") == 11
    assert folder.append("one", 20, b"after a gap") == 11
    assert folder.begin("one") == 11 and folder.tail == "hello world"
    with pytest.raises(Conflict):
        folder.append("two", 11, b"!")
    with pytest.raises(InvalidInput):
        folder.end("one", b"[]")
    folder.end("one", b'{"code": 3}')
    assert folder.result == {"code": 3}
    folder.give_up()
    assert folder.result is None and folder.plan is None and folder.tail == "hello world"
    folder.remove()
    assert not folder.root.exists()
