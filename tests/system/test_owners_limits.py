"""The limits that the owner of a platform sets hold in Lab, in the CLI and for whoever sends requests."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jupyter_mlplat.errors import QuotaExceeded, TooLarge
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, running_platform

pytestmark = pytest.mark.hub

SMALL = "cpu.1u2g"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A platform whose owner allows one instance, and jobs of five files and 100,000 bytes."""
    data = tmp_path_factory.mktemp("strict") / "data"
    data.mkdir()
    limits = "instance_quota = 1\nbundle_files = 5\nbundle_bytes = 100_000\n"
    (data / "config.toml").write_text(f"[platform]\n{limits}")
    with running_platform(data) as platform:
        yield platform


def test_the_owner_sets_the_quota(strict: RunningPlatform) -> None:
    assert created_at_once(strict.owner, ["first", "first", "other", "third"]) == [202, 429, 429, 429]
    (first,) = strict.owner.instances.list()
    with pytest.raises(QuotaExceeded, match=r"as many instances as your quota allows: 1\. Delete one first"):
        strict.owner.instances.create("second", flavor=SMALL)
    done = strict.mlplat("instance", "create", "second", check=False)
    assert (done.returncode, "as your quota allows" in done.stderr) == (1, True)
    (quota,) = [quota for quota in strict.owner.quotas.list() if quota.noun == "instance"]
    assert (quota.used, quota.limit) == (1, 1)
    with strict.user("another") as another:
        assert another.quotas.list()[0].used == 0
    strict.owner.instances.delete(first.id)
    strict.owner.instances.wait(first.id)
    assert strict.owner.instances.create("second", flavor=SMALL).name == "second"


def created_at_once(client: Client, names: list[str]) -> list[int]:
    """The answers, by their numbers, to requests for new instances that all come in the same moment."""
    headers = {"Authorization": f"token {client.profile.token}"}

    def create(name: str) -> int:
        body = {"name": name, "flavor": SMALL}
        return httpx.post(f"{client.profile.api}/instances", json=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(len(names)) as pool:
        return sorted(pool.map(create, names))


def test_lab_holds_to_the_owners_limits(strict: RunningPlatform) -> None:
    (instance,) = strict.owner.instances.list() or [strict.owner.instances.create("second", flavor=SMALL)]
    lab = strict.lab(strict.owner, strict.owner.instances.wait(instance.id))
    for number in range(6):
        lab.put(f"{number}.py", b"1")
    problems = lab.http.get("/mlplat/submit/preview", params={"path": "0.py"}).json()["problems"]
    assert [problem for problem in problems if "The folder has 6 files and 5 may be sent." in problem]
    refused = lab.http.post("/mlplat/submit", json={"path": "0.py"})
    assert (refused.status_code, refused.json()["error_code"]) == (413, "MLPLAT.TOO_LARGE")


@pytest.mark.parametrize(("sizes", "words"), [
    ([10] * 6, "The folder has 6 files and 5 may be sent."),
    ([60_000, 50_000], "The folder holds 107.4 KiB and 97.7 KiB may be sent."),
])  # fmt: skip
def test_the_owner_sets_how_large_a_jobs_folder_may_be(
    strict: RunningPlatform, tmp_path: Path, sizes: list[int], words: str
) -> None:
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}.py").write_bytes(b"#" + os.urandom(size - 1))
    with pytest.raises(TooLarge) as refused:
        strict.owner.jobs.submit(tmp_path / "0.py")
    assert words in refused.value.message
    assert ".mlplatignore" in refused.value.message
    done = strict.mlplat("job", "submit", str(tmp_path / "0.py"), check=False)
    assert (done.returncode, words in done.stderr) == (1, True)


def test_an_upload_over_the_owners_limit_is_refused(strict: RunningPlatform) -> None:
    with pytest.raises(TooLarge, match="100,000 bytes"):
        strict.owner._wire.send("PUT", f"/bundles/sha256:{'0' * 64}", content=iter([os.urandom(100_001)]))
