"""The main job through the installed chart: log in, work, stop and start, install a package, save, run a job on it."""

import io
import zipfile
from pathlib import Path

import pytest
from doors import Door, answers
from kubectl import Kubectl
from release import ADMIN, Release

from jupyter_mlplat.agent.messages import SAVE_PATH
from jupyter_mlplat.errors import MlplatError
from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until

INFO = "greeter-1.0.dist-info"
GREETER = {
    "greeter.py": "WORDS = 'hello from a package of my own'\n",
    f"{INFO}/METADATA": "Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/RECORD": f"greeter.py,,\n{INFO}/METADATA,,\n{INFO}/WHEEL,,\n{INFO}/RECORD,,\n",
}
WHEEL = "greeter-1.0-py3-none-any.whl"


def wheel() -> bytes:
    """A small package, as pip installs it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in GREETER.items():
            archive.writestr(name, text)
    return content.getvalue()


def test_work_and_the_browsers_login_are_there_after_a_stop(
    release: Release, alice: Client, alices_instance: Instance
) -> None:
    address = f"/user/alice/{alices_instance.id}/lab"
    lab = release.lab(alice, alices_instance)
    with release.browser("alice") as browser:
        assert "JupyterLab" in browser.get(address).raise_for_status().text
        lab.put("kept.txt", b"still here")
        with lab.kernel() as kernel:
            assert kernel.run("import os; print(os.getuid(), os.getcwd())").split() == ["1000", "/home/ma-user/work"]
        alice.instances.stop(alices_instance.id)
        assert alice.instances.wait(alices_instance.id).status is Status.STOPPED
        alice.instances.start(alices_instance.id)
        assert alice.instances.wait(alices_instance.id).status is Status.RUNNING
        assert browser.get(address, follow_redirects=False).status_code == 200, "no second login"
    assert lab.http.get("/files/kept.txt").text == "still here"


def test_what_is_saved_is_what_a_job_runs_on(
    alice: Client, alices_instance: Instance, release: Release, tmp_path: Path
) -> None:
    release.lab(alice, alices_instance).put(WHEEL, wheel())
    installed = ["pip", "install", "--no-index", WHEEL]
    assert alice.instances.exec(alices_instance.id, installed) == 0
    saved = alice.images.wait(alice.instances.save_image(alices_instance.id, "greeting", "1").id)
    assert "greeter" in {package.name for package in alice.images.get(saved.id).packages}
    script = tmp_path / "greet.py"
    script.write_text("import greeter\nprint(greeter.WORDS)\n")
    job = alice.jobs.wait(alice.jobs.submit(script, image=saved.id, flavor="t.small").id, timeout=120)
    assert job.phase is Phase.COMPLETED, job.phase_message
    assert "hello from a package of my own" in "".join(alice.jobs.logs(job.id))


def test_people_see_their_own_only(release: Release, alices_instance: Instance, bob: Client) -> None:
    assert [instance for instance in bob.instances.list() if instance.id == alices_instance.id] == []
    with release.browser("bob") as browser:
        assert browser.get(f"/user/alice/{alices_instance.id}/lab").status_code in (403, 404)


def test_a_users_pod_meets_restricted_and_has_no_token(
    release: Release, kubectl: Kubectl, alices_instance: Instance
) -> None:
    pod = kubectl.json("get", "pod", f"instance-{alices_instance.id}", "-n", release.users)["spec"]
    assert pod["securityContext"]["runAsUser"] == 1000 and not pod["automountServiceAccountToken"]
    assert "@sha256:" in pod["containers"][0]["image"]


def test_how_full_a_work_folder_is_is_shown_and_warned_of(
    alice: Client, alices_instance: Instance, release: Release
) -> None:
    seen = until(lambda: alice.instances.get(alices_instance.id).work, "its server has told")
    assert seen is not None
    assert 0 < seen.used_bytes < seen.size_bytes
    lab = release.lab(alice, alices_instance)
    full = {"used_bytes": 97 * 2**30, "size_bytes": 100 * 2**30}
    lab.http.put(f"/mlplat/v1/instances/{alices_instance.id}/work", json=full).raise_for_status()
    assert "nearly full: 3.0 of 100.0 GiB" in alice.instances.events(alices_instance.id)[-1].message
    with pytest.raises(MlplatError, match="cannot make a work folder larger"):
        alice.instances.update(alices_instance.id, work_gib=50)


def test_from_a_users_pod_no_other_door_opens(
    release: Release, kubectl: Kubectl, alice: Client, alices_instance: Instance
) -> None:
    platform = f"http://{release.service('platform')}:8011/services/mlplat/v1"
    agent = release.pods("agent")[0]["status"]
    doors: list[Door] = [
        ("GET", f"{platform}/instances", {"X-Forwarded-User": ADMIN}),
        ("GET", f"{platform}/instances", {"Authorization": "token of-somebody-else"}),
        ("GET", f"{platform}/internal/instances/{alices_instance.id}/wanted", {"Authorization": "hub guess"}),
        ("GET", f"http://{release.service('hub')}:8081/hub/api/users", {}),
        ("GET", f"http://{release.service('proxy-api')}:8001/api/routes", {}),
        ("POST", f"http://{agent['podIP']}:8012{SAVE_PATH}", {}),
        ("GET", f"https://{agent['hostIP']}:10250/pods", {}),
        ("GET", f"{kubectl.server}/api/v1/namespaces/{release.users}/pods", {}),
    ]
    found = answers(alice, alices_instance, doors)
    assert {url: code for url, code in found.items() if code not in (401, 403)} == {}
