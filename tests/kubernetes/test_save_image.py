"""Saving a running pod as an image on the real cluster: its containerd, its registry, and registries of our own."""

import asyncio
import json
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
from guarded_registry import PASSWORD, USER, guarded_registry, pull_secret
from pydantic import SecretStr
from save_stage import (
    SITE,
    Lab,
    Saving,
    agent_pod,
    known_to_nodes,
    kubectl,
    laboratory,
    own_registry,
    save_spec,
    saving,
)

from jupyter_mlplat.agent.messages import SAVE_PATH
from jupyter_mlplat.agent.signing import Asked, sign
from jupyter_mlplat.backends.base import InstanceSpec, SavedImage
from jupyter_mlplat.backends.kubernetes.agent import Agents
from jupyter_mlplat.backends.kubernetes.client import Cluster
from jupyter_mlplat.backends.kubernetes.images import KubernetesImages, save_request
from jupyter_mlplat.errors import BackendFailure, Conflict, MlplatError, NotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHANGES = f"""
cd {SITE} && mkdir -p mlplat_test-1.5.dist-info
printf 'Name: mlplat-test\\nVersion: 1.5\\n' > mlplat_test-1.5.dist-info/METADATA
echo 'answer = 42' > mlplat_test.py
rm -r pip
rm -rf ipykernel && mkdir ipykernel && echo 'mine = 1' > ipykernel/__init__.py
cd /home/ma-user
mkdir -p data empty .ssh .aws .docker .local/share/jupyter/runtime .vscode-server
echo one > data/one && ln data/one data/two && ln -s one data/link
python3 -c "import os; os.setxattr('data/one', 'user.colour', b'blue')"
truncate -s 20M data/sparse && printf end >> data/sparse
echo closed > data/closed && chmod 000 data/closed
echo ünï > 'data/ünï code'
echo SECRET-KEY > .ssh/id_ed25519; echo public > .ssh/id_ed25519.pub; echo SECRET-AWS > .aws/credentials
echo SECRET-GIT > .git-credentials; echo SECRET-NET > .netrc; echo '{{"SECRET-DOCKER": 1}}' > .docker/config.json
echo SECRET-JUPYTER > .local/share/jupyter/runtime/kernel-1.json; echo SECRET-IDE > .vscode-server/token
echo SECRET-PEM > data/mine.pem
echo SECRET-WORK > work/secret; echo SECRET-CACHE > /cache/secret; echo SECRET-TMP > /tmp/secret
"""
SECRETS = ["KEY", "AWS", "GIT", "NET", "DOCKER", "JUPYTER", "IDE", "PEM", "WORK", "CACHE", "TMP"]
BIG = "python3 -c \"import os; [open('/home/ma-user/big%d' % i, 'wb').write(os.urandom(40 << 20)) for i in range(8)]\""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path_factory.mktemp("save")) as lab:
        yield lab


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


def output(command: list[str]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


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
    forger = await lab.start("forger", **{"securityContext": {"seccompProfile": {"type": "Unconfined"}}})
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


async def test_files_that_change_are_read_again(lab: Lab, ours: Saving) -> None:
    busy = await lab.start("busy")
    write = 'for i in $(seq 40); do echo "n = $i" > counter.py; sleep 0.1; done'
    script = f"cd {SITE}; nohup bash -c '{write}' > /dev/null 2>&1 & sleep 0.3"
    await lab.run(busy, script)
    saved = await ours.save(busy, "busy")
    child = await lab.start("busychild", image=saved.reference)
    assert await lab.run(child, f"cat {SITE}/counter.py") == "n = 40\n"
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


async def test_a_registry_that_restarts_and_one_that_stays_away(lab: Lab, tmp_path: Path) -> None:
    with own_registry(tmp_path / "registry") as registry, known_to_nodes(registry):
        settings = lab.settings(f"{registry.address}/saved", images=catalogue(tmp_path, lab))
        async with saving(lab, settings) as theirs:
            instance = await started_from(lab, theirs, "restarted")
            await lab.run(instance, BIG)
            restarted = False
            async with aclosing(theirs.images.save(save_spec(instance, "restarted"))) as steps:
                async for step in steps:
                    if getattr(step, "done", 0) > 100 << 20 and not restarted:
                        registry.kill()
                        registry.start()
                        restarted = True
            assert restarted and await theirs.tags("restarted") == ["1"]

            registry.kill()
            await lab.run(instance, "echo more > /home/ma-user/more")
            with pytest.raises(BackendFailure, match="does not answer"):
                await theirs.save(instance, "away")
            assert await lab.run(instance, "echo alive") == "alive\n"
            registry.start()
            assert (await theirs.save(instance, "away")).added > 300 << 20
        lab.remove("restarted")


def catalogue(folder: Path, lab: Lab) -> Path:
    path = folder / "catalog.toml"
    path.write_text(f'[[preset]]\nname = "python"\ntag = "dev"\nreference = "{lab.image}"\ninsecure = true\n')
    return path


async def started_from(lab: Lab, theirs: Saving, name: str, **spec: Any) -> InstanceSpec:
    """An instance on the preset, which `prepare` copies into the other registry."""
    steps = [step async for step in theirs.images.prepare("python:dev")]
    assert steps[-1].done == steps[-1].total > 0
    (preset,) = await theirs.images.presets()
    assert preset.digest and preset.reference.endswith(f"/saved/python@{preset.digest}")
    return await lab.start(name, image=preset.reference, **spec)


async def test_a_full_registry_says_so(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    (folder / "data").mkdir(parents=True)
    await asyncio.to_thread(output, ["mount", "-t", "tmpfs", "-o", "size=350m", "tmpfs", str(folder / "data")])
    try:
        with own_registry(folder) as registry, known_to_nodes(registry):
            settings = lab.settings(f"{registry.address}/saved", images=catalogue(tmp_path, lab))
            async with saving(lab, settings) as theirs:
                instance = await started_from(lab, theirs, "full")
                await lab.run(instance, BIG)
                with pytest.raises(MlplatError, match="is full"):
                    await theirs.save(instance, "full")
                assert await theirs.tags("full") == []
            lab.remove("full")
    finally:
        await asyncio.to_thread(output, ["umount", str(folder / "data")])


async def test_a_registry_with_tokens_and_a_certificate_of_its_own(lab: Lab, tmp_path: Path) -> None:
    with guarded_registry(tmp_path / "guarded") as (registry, authority), known_to_nodes(registry, authority.ca):
        kubectl("create", "-n", lab.namespace, "-f", "-", stdin=json.dumps(pull_secret(registry.address)).encode())
        access: dict[str, Any] = {"registry_insecure": False, "registry_user": USER, "images": catalogue(tmp_path, lab)}
        access |= {"registry_ca": authority.ca, "registry_password": SecretStr(PASSWORD)}
        async with saving(lab, lab.settings(f"{registry.address}/saved", **access)) as theirs:
            secrets = {"imagePullSecrets": [{"name": "pull"}]}
            instance = await started_from(lab, theirs, "guarded", **secrets)
            await lab.run(instance, CHANGES)
            saved = await theirs.save(instance, "guarded")
            child = await lab.start("guardedchild", image=saved.reference, **secrets)
            assert await lab.run(child, "python3 -c 'import mlplat_test; print(mlplat_test.answer)'") == "42\n"
            assert "repository:saved/python:pull" in " ".join(authority.asked)

        for wrong, words in (
            ({"registry_password": SecretStr("wrong")}, "refuses the user platform"),
            ({"registry_ca": None}, "is not trusted"),
            ({"registry_user": "", "registry_password": SecretStr("")}, "refuses anonymous use"),
        ):
            async with saving(lab, lab.settings(f"{registry.address}/saved", **(access | wrong))) as theirs:
                with pytest.raises(MlplatError, match=words):
                    await theirs.save(instance, "wrong")
        lab.remove("guarded")
        lab.remove("guardedchild")


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
