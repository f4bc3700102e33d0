"""Saving a running pod as an image on the real cluster: its containerd, its registry, and registries of our own."""

import asyncio
import json
import re
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import zstandard
from save_stage import (
    BIG,
    CHANGES,
    SITE,
    Lab,
    Saving,
    agent_pod,
    kubectl,
    output,
    save_spec,
    saving,
)

from jupyter_mlplat.agent.messages import SAVE_PATH
from jupyter_mlplat.agent.signing import Asked, sign
from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.imaging import SavedImage
from jupyter_mlplat.backends.kubernetes.agent import Agents
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.images import KubernetesImages, save_request
from jupyter_mlplat.errors import BackendFailure, Conflict, InvalidInput, NotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = ["KEY", "AWS", "GIT", "NET", "DOCKER", "JUPYTER", "IDE", "PEM", "WORK", "CACHE", "TMP"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(lab: Lab) -> AsyncIterator[Saving]:
    async with saving(lab) as ours:
        yield ours


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def changed(lab: Lab) -> InstanceSpec:
    """An instance in which a user has done all sorts of things."""
    instance = await lab.start("changed")
    await lab.run(instance, CHANGES)
    return instance


def unpack(reference: str, folder: Path) -> Path:
    """The image as skopeo sees it, in an OCI layout."""
    command = ["skopeo", "copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{folder}:it"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def new_layers(layout: Path, count: int) -> list[tarfile.TarFile]:
    """The last layers of an image, opened."""
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(layout, index["manifests"][0]["digest"]).read_bytes())
    opened = []
    for layer in manifest["layers"][-count:]:
        plain = layout / f"{layer['digest'][7:]}.tar"
        with blob(layout, layer["digest"]).open("rb") as packed, plain.open("wb") as out:
            zstandard.ZstdDecompressor().copy_stream(packed, out)
        opened.append(tarfile.open(plain))  # noqa: SIM115
    return opened


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


async def test_what_was_changed_is_in_the_image_and_runs(
    lab: Lab, ours: Saving, changed: InstanceSpec, tmp_path: Path
) -> None:
    steps, saved = await ours.steps(changed, "all")
    assert saved.parent_digest == changed.image_digest != saved.digest
    assert ("mlplat-test", "1.5") in [(package.name, package.version) for package in saved.packages]
    assert saved.added and steps[-1].event == "LeftOut"

    child = await lab.start("child", image=saved.reference)
    seen = await lab.run(
        child,
        f"""
        cd /home/ma-user
        ls {SITE}/ipykernel
        python3 -c 'import mlplat_test, ipykernel; print(mlplat_test.answer, ipykernel.mine)'
        test ! -e {SITE}/pip; cat 'data/ünï code'
        test "$(stat -c %i data/one)" = "$(stat -c %i data/two)"; readlink data/link; test -d empty
        python3 -c "import os; print(os.getxattr('data/one', 'user.colour'))"
        stat -c '%U %a %s' data/sparse data/closed; chmod u+r data/closed; cat data/closed; tail -c 3 data/sparse; echo
        ls -A .ssh; cat .ssh/id_ed25519.pub; id -un; ls work /cache /tmp
        """,
    )
    words = seen.split()
    assert words[:4] == ["__init__.py", "42", "1", "ünï"]
    assert "b'blue'" in words and "closed" in words and "end" in words
    assert "ma-user 644 20971523" in seen and "ma-user 0 7" in seen
    assert ".ssh" not in words and "id_ed25519" not in words and "secret" not in words

    layout = await asyncio.to_thread(unpack, saved.reference, tmp_path / "layout")
    for layer in new_layers(layout, 1):
        names = layer.getnames()
        assert any(name.endswith("/site-packages/.wh.pip") for name in names)
        assert any(name.endswith("/ipykernel/.wh..wh..opq") for name in names)
        content = b"".join(layer.extractfile(entry).read() for entry in layer if entry.isfile())  # type: ignore[union-attr]
        assert not [word for word in SECRETS if f"SECRET-{word}".encode() in content]
        assert {entry.uid for entry in layer if entry.name.startswith("home/ma-user/data/")} == {1000}
    lab.remove("child")


async def test_a_preview_says_what_is_saved_and_what_is_unticked_stays_out(
    lab: Lab, ours: Saving, changed: InstanceSpec, tmp_path: Path
) -> None:
    preview = await ours.images.preview(save_spec(changed, "preview"))
    assert ("mlplat-test", "1.5") in [(package.name, package.version) for package in preview.packages]
    assert preview.files and preview.size > 20 << 20 and preview.removed >= 2
    assert "home/ma-user/data" in [folder.path for folder in preview.folders]
    secret = {each.path: each.reason for each in preview.left_out}["home/ma-user/.ssh/id_ed25519"]
    assert "secret" in secret

    spec = save_spec(changed, "part", exclude=("home/ma-user/data", f"{await site(lab, changed)}/pip"))
    part = await ours.images.preview(spec)
    assert part.size < preview.size - (20 << 20) and part.removed == preview.removed - 1
    steps = [step async for step in ours.images.save(spec)]
    saved = steps[-1]
    assert isinstance(saved, SavedImage) and saved.packages == part.packages
    child = await lab.start("part", image=saved.reference)
    words = (
        await lab.run(child, f"ls /home/ma-user; test -e {SITE}/pip && python3 -c 'import mlplat_test; print(7)'")
    ).split()
    assert "data" not in words and "7" in words
    lab.remove("part")


async def site(lab: Lab, instance: InstanceSpec) -> str:
    return (await lab.run(instance, f"echo {SITE}")).strip().strip("/")


@pytest.mark.parametrize(
    ("path", "words"),
    [("home/ma-user/nothing", "nothing at"), ("{site}/ipykernel/kernelapp.py", "cannot be left out alone")],
)
async def test_what_cannot_be_left_out_is_said(
    lab: Lab, ours: Saving, changed: InstanceSpec, path: str, words: str
) -> None:
    spec = save_spec(changed, "wrong", exclude=(path.format(site=await site(lab, changed)),))
    with pytest.raises(InvalidInput, match=words):
        await ours.images.preview(spec)
    with pytest.raises(InvalidInput, match=words):
        async for _ in ours.images.save(spec):
            pass


async def test_the_image_says_where_it_comes_from(ours: Saving, changed: InstanceSpec) -> None:
    saved = await ours.save(changed, "labels")
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{saved.reference}"]
    labels = json.loads(await asyncio.to_thread(output, command))["Labels"]
    assert labels["mlplat.instance.id"] == "changed" and labels["org.opencontainers.image.authors"] == "alice"
    assert labels["org.opencontainers.image.base.digest"] == changed.image_digest
    assert ["mlplat-test", "1.5"] in json.loads(labels["mlplat.packages"])
    assert "mlplat-test" in [package.name for package in (await ours.images.contents(saved.digest)).packages]


async def test_without_changes_it_is_the_parent(lab: Lab, ours: Saving) -> None:
    fresh = await lab.start("fresh")
    await lab.run(fresh, "echo work > /home/ma-user/work/file; echo t > /tmp/x; echo k > /home/ma-user/.netrc")
    saved = await ours.save(fresh, "same")
    assert (saved.digest, saved.added) == (fresh.image_digest, 0)
    assert await ours.tags("same") == ["1"]
    lab.remove("fresh")


async def test_a_second_save_sends_nothing_again(ours: Saving, changed: InstanceSpec) -> None:
    first = await ours.save(changed, "twice")
    noted = (ours.state / "layers.json").stat().st_mtime_ns
    second = await ours.save(changed, "twice", "2")
    assert first.added == second.added
    assert sorted(await ours.tags("twice")) == ["1", "2"]
    assert (ours.state / "layers.json").stat().st_mtime_ns == noted


async def test_a_forged_mount_table_changes_nothing(lab: Lab, ours: Saving, tmp_path: Path) -> None:
    forger = await lab.start("forger", securityContext={"seccompProfile": {"type": "Unconfined"}})
    await lab.run(
        forger,
        """
        echo mine > /home/ma-user/mine
        cat > /tmp/forge.sh <<'END'
        mkdir -p /tmp/fake && mount -t tmpfs overlay,upperdir=/etc,lowerdir=/root /tmp/fake
        mount -t overlay overlay -o lowerdir=/etc,upperdir=/tmp/fake/up,workdir=/tmp/fake/w /tmp/fake || true
        echo forged > /tmp/fake/forged; touch /tmp/ready; exec sleep infinity
END
        nohup unshare --user --map-root-user --mount bash /tmp/forge.sh > /tmp/forge.log 2>&1 &
        for i in $(seq 50); do test -e /tmp/ready && break; sleep 0.1; done; cat /tmp/forge.log; true
        """,
    )
    saved = await ours.save(forger, "forged")
    layout = await asyncio.to_thread(unpack, saved.reference, tmp_path / "layout")
    (layer,) = new_layers(layout, 1)
    files = [entry.name for entry in layer if entry.isfile()]
    assert files == ["home/ma-user/mine"]
    lab.remove("forger")


async def test_a_link_in_place_of_a_folder_leads_nowhere(lab: Lab, ours: Saving, tmp_path: Path) -> None:
    """The packages are looked for in files that a user may replace by links to other containers' files."""
    linker = await lab.start("linker")
    await lab.run(linker, f"site=$(echo {SITE}); rm -rf $site; ln -s /etc $site")
    saved = await ours.save(linker, "linked")
    assert saved.packages == ()
    lab.remove("linker")


async def ask(ours: Saving, lab: Lab, instance: InstanceSpec, **changes: Any) -> httpx.Response:
    """A request as the platform's, with something wrong about it."""
    pod = await ours.images._pod(save_spec(instance, "asked"))
    request = save_request(save_spec(instance, "asked"), pod, "saved/")
    body = request.model_copy(update=changes.pop("body", {})).model_dump_json().encode()
    header, _ = sign(changes.pop("secret", lab.secret), Asked("POST", SAVE_PATH, body, changes.pop("node", "node1")))
    async with httpx.AsyncClient(timeout=30) as client:
        headers = {"Authorization": changes.pop("header", header)}
        return await client.post(f"{ours.agent.url}{SAVE_PATH}", content=changes.pop("sent", body), headers=headers)


async def test_only_signed_requests_about_ones_own_pods_are_done(lab: Lab, ours: Saving, changed: InstanceSpec) -> None:
    assert (await ask(ours, lab, changed, header="")).status_code == 401
    assert (await ask(ours, lab, changed, secret="another")).status_code == 401  # noqa: S106
    assert (await ask(ours, lab, changed, node="node2")).status_code == 401
    assert (await ask(ours, lab, changed, sent=b"{}")).status_code == 401
    assert (await ask(ours, lab, changed, body={"namespace": "kube-system"})).status_code == 403
    for wrong in ({"pod": "instance-other"}, {"container": "other"}, {"pod_uid": "1"}):
        assert "no such container" in (await ask(ours, lab, changed, body=wrong)).text
    assert "only, not to" in (await ask(ours, lab, changed, body={"repository": "mlplat/python"})).text
    assert await ours.tags("asked") == []


async def test_an_agent_killed_in_the_middle_leaves_nothing_half_and_goes_on(lab: Lab, ours: Saving) -> None:
    big = await lab.start("big")
    await lab.run(big, BIG)
    with pytest.raises(BackendFailure):
        async with aclosing(ours.images.save(save_spec(big, "killed"))) as steps:
            async for step in steps:
                if getattr(step, "done", 0) > 250 << 20:
                    ours.agent.kill()
    assert await ours.tags("killed") == []
    assert await lab.run(big, "echo alive") == "alive\n"
    await ours.agent.start()
    saved = await ours.save(big, "killed")
    assert saved.added > 300 << 20 and await ours.tags("killed") == ["1"]

    # What the first save of another name has sent is mounted by the second.
    began = time.monotonic()
    again = await ours.save(big, "again")
    assert again.added == saved.added and time.monotonic() - began < 10
    lab.remove("big")


async def test_a_platform_that_hangs_up_ends_the_save(lab: Lab, ours: Saving) -> None:
    left = await lab.start("left")
    await lab.run(left, BIG)
    async with aclosing(ours.images.save(save_spec(left, "left"))) as steps:
        async for step in steps:
            if getattr(step, "done", 0) > 0:
                break
    assert await ours.tags("left") == []
    assert (await ours.save(left, "left")).added > 300 << 20
    lab.remove("left")


async def test_files_that_change_are_whole(lab: Lab, ours: Saving) -> None:
    busy = await lab.start("busy")
    write = 'for i in $(seq 40); do echo "n = $i" > counter.py; sleep 0.1; done'
    script = f"cd {SITE}; nohup bash -c '{write}' > /dev/null 2>&1 & sleep 0.3"
    await lab.run(busy, script)
    saved = await ours.save(busy, "busy")
    child = await lab.start("busychild", image=saved.reference)
    assert re.fullmatch(r"n = \d+\n", await lab.run(child, f"cat {SITE}/counter.py"))
    lab.remove("busy")
    lab.remove("busychild")


async def test_a_pod_that_is_gone(lab: Lab, ours: Saving) -> None:
    gone = await lab.start("gone")
    lab.remove("gone")
    with pytest.raises((Conflict, NotFound)):
        await ours.save(gone, "gone")


async def test_collect_removes_what_nobody_keeps(lab: Lab, ours: Saving, changed: InstanceSpec) -> None:
    saved = await ours.save(changed, "collected")
    access = ours.images._registry
    kept = {digest for name in ("all", "labels", "twice") for tag in await ours.tags(name)
            if (digest := await access.digest(f"saved/alice/{name}", tag))}  # fmt: skip
    await ours.images.collect(kept | {saved.digest})
    assert await ours.tags("collected") == ["1"]
    await ours.images.collect(kept)
    assert await ours.tags("collected") == []
    assert (await access.manifest(*repository_of(changed))).digest == changed.image_digest


def repository_of(instance: InstanceSpec) -> tuple[str, str]:
    name, _, digest = instance.image_reference.partition("@")
    return name.partition("/")[2], digest


async def test_agents_in_pods_are_found_on_their_nodes(lab: Lab) -> None:
    """On node 2, whose containerd and files no process of this machine's node 1 knows."""
    settings = lab.settings()
    kubectl("create", "-n", lab.namespace, "-f", "-", stdin=json.dumps(agent_pod(lab, settings, "node2")).encode())
    wait = ("wait", "-n", lab.namespace, "--for=condition=Ready", "pod/agent-node2", "--timeout=120s")
    await asyncio.to_thread(kubectl, *wait)
    cluster = Cluster()
    images = KubernetesImages(cluster, settings)
    try:
        instance = await lab.start("far", node="node2")
        await lab.run(instance, "echo far > /home/ma-user/far; rm -r /opt/mlplat/env/lib/python3*/site-packages/pip")
        steps = [step async for step in images.save(save_spec(instance, "far"))]
        assert isinstance(steps[-1], SavedImage)
        child = await lab.start("farchild", image=steps[-1].reference)
        assert await lab.run(child, f"cat /home/ma-user/far; test ! -e {SITE}/pip") == "far\n"
        with pytest.raises(BackendFailure, match="No node agent is ready on node1"):
            await Agents(cluster, settings).url("node1")
    finally:
        await images.close()
        await cluster.close()
        for name in ("far", "farchild"):
            lab.remove(name)
