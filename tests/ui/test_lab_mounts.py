"""Mounted storage in Lab: a folder of a bucket on a real MinIO, mounted by rclone, used in a notebook, unmounted."""

import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from lab_window import LabWindow
from playwright.sync_api import Locator, expect

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.mounter.mounts import missing
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server
from jupyter_mlplat.testing.platform import until

pytestmark = [pytest.mark.browser, pytest.mark.hub]


@pytest.fixture(scope="module")
def minio(grace: Client) -> Iterator[MinioServer]:
    """Grace has an endpoint `team` there, which gives temporary keys."""
    if lack := missing():
        pytest.fail(f"Mounts cannot be tested: {lack}.", pytrace=False)
    with minio_server() as server:
        grace.storage_endpoints.add("team", server.address, server.access_key, server.secret_key, keys="temporary")
        yield server
        grace.storage_endpoints.remove("team")


@pytest.fixture(scope="module")
def store(minio: MinioServer) -> S3Store:
    """With a bucket `garden`."""
    store = S3Store(minio.connection())
    store.make_bucket("garden")
    store.write(ObjectUrl("garden", "flowers/rose.csv"), b"name,petals\nrose,5\n")
    store.write(ObjectUrl("garden", "secret.txt"), b"not for this mount")
    return store


def row(panel: Locator) -> Locator:
    return panel.locator(".mlp-mount")


def test_what_is_no_folder_of_a_bucket_is_refused_as_it_is_typed(store: S3Store, lab: LabWindow) -> None:
    panel = lab.show("Instance")
    expect(panel.get_by_text("A folder of a bucket can be mounted")).to_be_visible()
    panel.get_by_role("button", name="Mount a folder").click()
    source, name = lab.dialog.get_by_label("From"), lab.dialog.get_by_label("Name")
    mount = lab.dialog.get_by_role("button", name="Mount")
    expect(mount).to_be_disabled()
    source.fill("obs://garden/flowers/")
    expect(name).to_have_value("flowers")
    expect(mount).to_be_enabled()
    name.fill("a/b")
    expect(lab.dialog.get_by_text("A name has 1 to 64 letters")).to_be_visible()
    expect(mount).to_be_disabled()
    source.fill("obs://nowhere/x")
    name.fill("x")
    mount.click()
    expect(lab.dialog.get_by_role("alert")).to_contain_text("no bucket nowhere")
    lab.dialog.get_by_role("button", name="Cancel").click()


def test_a_mount_from_its_making_to_its_removal(store: S3Store, lab: LabWindow, grace: Client) -> None:
    panel = lab.show("Storage")
    panel.get_by_role("button", name="garden", exact=True).click()
    flowers = panel.locator(".mlp-object").filter(has=lab.page.get_by_text("flowers", exact=True))
    flowers.hover()
    panel.get_by_role("button", name="More for flowers").click()
    lab.page.locator(".lm-Menu-item").filter(has_text=re.compile("^Mount in the instance")).click()
    expect(lab.dialog.get_by_label("From")).to_have_value("obs://garden/flowers/")
    lab.dialog.get_by_role("button", name="Mount").click()
    panel = lab.show("Instance")
    expect(row(panel)).to_contain_text("Mounted", timeout=30_000)
    (instance,) = grace.instances.list()
    (mount,) = grace.mounts.list(instance.id).mounts
    lab.new_notebook()
    assert lab.run(f"import os; print(sorted(os.listdir({mount.path!r})))").strip() == "['rose.csv']"
    lab.run(f"open({mount.path + '/tulip.csv'!r}, 'w').write('petals\\n6\\n')")
    kill_rclone(mount.id)
    until(lambda: history(grace, instance).count("is mounted at") == 2, "it is mounted anew")
    assert "stopped working" in history(grace, instance)
    expect(row(panel)).to_contain_text("Mounted")
    assert lab.run(f"print(open({mount.path + '/rose.csv'!r}).read())").strip().endswith("rose,5")
    panel.get_by_role("button", name="Unmount flowers").click()
    lab.dialog.get_by_role("button", name="Unmount").click()
    expect(row(panel)).to_have_count(0, timeout=30_000)
    assert store.read(ObjectUrl("garden", "flowers/tulip.csv")) == b"petals\n6\n"


def history(grace: Client, instance: Instance) -> str:
    return " ".join(event.message for event in grace.instances.events(instance.id))


def kill_rclone(mount_id: str) -> None:
    found = subprocess.run(["pgrep", "-f", f"rclone mount .*{mount_id}"], capture_output=True, text=True, check=True)
    for process in found.stdout.split():
        subprocess.run(["kill", f"-{signal.SIGKILL}", process], check=True)
