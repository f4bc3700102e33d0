"""The storage panel of Lab on the built-in store and on a real MinIO: found, looked at, moved, shared and deleted."""

import io
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lab_window import LabWindow
from nbformat.v4 import new_code_cell, new_notebook
from notebooks import KERNEL
from playwright.sync_api import Locator, expect

from jupyter_mlplat.sdk import Client
from jupyter_mlplat.storage.engine.s3 import S3Store
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server

pytestmark = [pytest.mark.browser, pytest.mark.hub]

DOT = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><circle r="9"/></svg>'
NOTEBOOK = {"cells": [{"cell_type": "code", "source": ["petals = 5"]}], "nbformat": 4, "nbformat_minor": 5}
GARDEN = {
    "flowers/rose.csv": b"name,petals\nrose,5\n",
    "flowers/plan.svg": DOT.encode(),
    "flowers/study.ipynb": json.dumps(NOTEBOOK).encode(),
    "notes.txt": "größer".encode(),
    "old/1": b"1" * 1024,
    "old/deep/2": b"2" * 1024,
}


@pytest.fixture(scope="module")
def minio(grace: Client) -> Iterator[MinioServer]:
    """Grace has an endpoint `team` there, and `away`, which does not answer."""
    with minio_server() as server:
        add = grace.storage_endpoints.add
        add("team", server.address, server.access_key, server.secret_key, keys="temporary")
        add("away", "http://127.0.0.1:9", "ak", "sk")
        yield server
        for name in ("team", "away"):
            grace.storage_endpoints.remove(name)
        grace.storage.remove("obs://data/from-garden/", recursive=True)


@pytest.fixture
def store(minio: MinioServer) -> Iterator[S3Store]:
    """With the bucket `garden`, as it is for each test."""
    store = S3Store(minio.connection())
    store.make_bucket("garden")
    for key, data in GARDEN.items():
        store.write(ObjectUrl("garden", key), data)
    yield store
    store.delete_below(ObjectUrl("garden"))
    store.remove_bucket("garden")


@pytest.fixture
def rewritten(minio: MinioServer, store: S3Store) -> Iterator[ObjectUrl]:
    """An object of two versions, in the bucket `meadow`. It is there before Lab, which may open with this panel."""
    notes = ObjectUrl("meadow", "notes.txt")
    store.make_bucket("meadow")
    minio.keep_versions("meadow")
    store.write(notes, "größer".encode())
    store.write(notes, b"written over")
    yield notes
    minio.remove_with_versions("meadow")


@pytest.fixture
def panel(store: S3Store, lab: LabWindow) -> Locator:
    """The panel at obs://garden/."""
    panel = lab.show("Storage")
    panel.get_by_role("button", name="garden", exact=True).click()
    expect(row(panel, "notes.txt")).to_be_visible()
    return panel


def row(panel: Locator, name: str) -> Locator:
    return panel.locator(".mlp-object").filter(has=panel.page.get_by_text(name, exact=True))


def more(panel: Locator, name: str, what: str) -> None:
    """An entry of the menu of an object."""
    row(panel, name).hover()
    panel.get_by_role("button", name=f"More for {name}").click()
    panel.page.locator(".lm-Menu-item").filter(has_text=re.compile(f"^{what}")).click()


def test_endpoints_stand_beside_each_other_and_say_what_is_wrong(store: S3Store, lab: LabWindow) -> None:
    panel = lab.show("Storage")
    for heading in ("On this platform", "team", "away"):
        expect(panel.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(panel.get_by_text("http://127.0.0.1:9 does not answer.")).to_be_visible()
    expect(panel.get_by_role("button", name="garden", exact=True)).to_be_visible()


def test_names_are_searched_and_folders_opened(panel: Locator) -> None:
    expect(panel.locator(".mlp-object-name")).to_have_text(["flowers", "notes.txt", "old"])
    panel.get_by_role("searchbox").fill("no")
    expect(panel.locator(".mlp-object-name")).to_have_text(["notes.txt"])
    panel.get_by_role("searchbox").fill("none")
    expect(panel.get_by_text("Nothing here begins with “none”.")).to_be_visible()
    panel.get_by_role("searchbox").fill("")
    row(panel, "flowers").get_by_role("button", name="flowers", exact=True).click()
    expect(panel.locator(".mlp-object-name")).to_have_text(["plan.svg", "rose.csv", "study.ipynb"])
    panel.get_by_label("Order").select_option("Largest first")
    expect(panel.locator(".mlp-object-name")).to_have_text(["study.ipynb", "plan.svg", "rose.csv"])


def test_objects_are_looked_at(panel: Locator, lab: LabWindow) -> None:
    panel.get_by_role("button", name="flowers", exact=True).click()
    panel.get_by_role("button", name="rose.csv", exact=True).click()
    expect(lab.dialog.get_by_role("columnheader")).to_have_text(["name", "petals"])
    expect(lab.dialog.get_by_role("cell")).to_have_text(["rose", "5"])
    lab.dialog.get_by_role("button", name="Close").click()
    panel.get_by_role("button", name="plan.svg", exact=True).click()
    expect(lab.dialog.get_by_role("img", name="Preview")).to_have_js_property("naturalWidth", 20)
    lab.dialog.get_by_role("button", name="Close").click()
    panel.get_by_role("button", name="study.ipynb", exact=True).click()
    expect(lab.dialog.locator("pre[data-cell=code]")).to_have_text("petals = 5")
    lab.dialog.get_by_role("button", name="Close").click()
    more(panel, "rose.csv", "Properties")
    expect(lab.dialog).to_contain_text("obs://garden/flowers/rose.csv")
    expect(lab.dialog).to_contain_text("(19 bytes)")


def test_objects_are_renamed_and_copied_to_another_endpoint(
    panel: Locator, lab: LabWindow, store: S3Store, grace: Client, tmp_path: Path
) -> None:
    more(panel, "notes.txt", "Rename")
    lab.dialog.get_by_role("textbox").fill("kept.txt")
    lab.dialog.get_by_role("button", name="Rename").click()
    expect(row(panel, "kept.txt")).to_be_visible()
    expect(row(panel, "notes.txt")).to_have_count(0)
    assert store.read(ObjectUrl("garden", "kept.txt")).decode() == "größer"
    more(panel, "kept.txt", "Copy to")
    lab.dialog.get_by_label("Endpoint").select_option("On this platform")
    lab.dialog.get_by_role("textbox").fill("obs://data/from-garden/kept.txt")
    lab.dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(lab.dialog).to_have_count(0)
    grace.storage.download("obs://data/from-garden/kept.txt", tmp_path / "kept.txt")
    assert (tmp_path / "kept.txt").read_text() == "größer"
    more(panel, "kept.txt", "Copy to")
    lab.dialog.get_by_label("Endpoint").select_option("On this platform")
    lab.dialog.get_by_role("textbox").fill("obs://data/from-garden/kept.txt")
    lab.dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(lab.dialog).to_contain_text("obs://data/from-garden/kept.txt is there already. Choose another name.")


def test_a_folder_is_deleted_after_its_objects_were_counted(panel: Locator, lab: LabWindow, store: S3Store) -> None:
    row(panel, "old").hover()
    row(panel, "old").get_by_role("button", name="Delete…").click()
    lab.dialog.get_by_role("button", name="Delete 2 objects (2 KiB)").click()
    expect(row(panel, "old")).to_have_count(0)
    assert not store.is_folder(ObjectUrl("garden", "old"))


def test_a_link_opens_without_a_login(panel: Locator, lab: LabWindow) -> None:
    more(panel, "notes.txt", "Link")
    lab.dialog.get_by_label("Good for").select_option("A day")
    lab.dialog.get_by_role("button", name="Make the link").click()
    link = lab.dialog.get_by_role("textbox")
    expect(link).to_have_value(re.compile("^http://127.0.0.1"))
    assert httpx.get(link.input_value()).text == "größer"


def test_an_older_version_is_restored(rewritten: ObjectUrl, store: S3Store, lab: LabWindow) -> None:
    panel = lab.show("Storage")
    panel.get_by_role("button", name="meadow", exact=True).click()
    more(panel, "notes.txt", "Versions")
    expect(lab.dialog.get_by_role("listitem")).to_have_count(2)
    lab.dialog.get_by_role("button", name="Restore").click()
    expect(lab.dialog.get_by_role("listitem")).to_have_count(3)
    assert store.read(rewritten).decode() == "größer"


def test_a_deleted_object_is_restored(rewritten: ObjectUrl, store: S3Store, lab: LabWindow) -> None:
    store.delete("meadow", [rewritten.key])
    panel = lab.show("Storage")
    panel.get_by_role("button", name="meadow", exact=True).click()
    expect(row(panel, "notes.txt")).to_have_count(0)
    panel.get_by_role("button", name="Deleted objects…").click()
    expect(lab.dialog.get_by_role("listitem")).to_contain_text("notes.txt")
    lab.dialog.get_by_role("button", name="Restore").click()
    expect(lab.dialog).to_contain_text("Nothing.")
    expect(row(panel, "notes.txt")).to_be_visible()


def test_the_first_rows_of_a_parquet_file_are_shown(panel: Locator, lab: LabWindow, store: S3Store) -> None:
    flowers = pa.table({"name": [f"flower {number}" for number in range(1000)], "petals": range(1000)})
    content = io.BytesIO()
    pq.write_table(flowers, content, compression="zstd")
    store.write(ObjectUrl("garden", "flowers.parquet"), content.getvalue())
    panel.get_by_role("button", name="Read the list again").click()
    panel.get_by_role("button", name="flowers.parquet", exact=True).click()
    expect(lab.dialog).to_contain_text("1000 rows, 2 columns")
    expect(lab.dialog.get_by_role("columnheader")).to_have_text(["name (string)", "petals (int64)"])
    expect(lab.dialog.get_by_role("row")).to_have_count(51)
    expect(lab.dialog.get_by_role("row").last).to_contain_text("flower 49")


def test_files_are_sent_to_the_endpoint(panel: Locator, store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "seeds.bin").write_bytes(b"s" * (12 << 20))
    with panel.page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Upload files here").click()
    chooser.value.set_files(tmp_path / "seeds.bin")
    expect(row(panel, "seeds.bin")).to_be_visible()
    assert store.head(ObjectUrl("garden", "seeds.bin")).size == 12 << 20


def test_a_notebook_is_opened_run_and_saved_where_it_is(panel: Locator, lab: LabWindow, store: S3Store) -> None:
    study = ObjectUrl("garden", "study.ipynb")
    notebook = new_notebook(cells=[new_code_cell()], metadata={"kernelspec": KERNEL})
    store.write(study, nbformat.writes(notebook).encode())
    panel.get_by_role("button", name="Read the list again").click()
    more(panel, "study.ipynb", "Open")
    lab.wait_for_kernel()
    assert lab.run("print('petals', 5 * 3)").strip() == "petals 15"
    lab.save()
    (cell, *_) = nbformat.reads(store.read(study).decode(), 4).cells
    assert cell.outputs[0].text == "petals 15\n"
    lab.page.reload()
    lab.wait()
    expect(lab.tab("study.ipynb")).to_have_class(re.compile("lm-mod-current"))
    expect(lab.notebook.get_by_text("petals 15")).to_be_visible()


def test_an_upload_goes_on_when_the_page_was_loaded_anew(
    panel: Locator, lab: LabWindow, store: S3Store, tmp_path: Path
) -> None:
    page, third, sent = panel.page, re.compile("objects/upload.*number=3"), list[str]()
    (tmp_path / "large.bin").write_bytes(secrets.token_bytes(20 << 20))

    def choose(panel: Locator) -> None:
        with page.expect_file_chooser() as chooser:
            panel.get_by_role("button", name="Upload files here").click()
        chooser.value.set_files(tmp_path / "large.bin")

    page.route(third, lambda route: route.abort())
    with page.expect_response(re.compile("number=1")), page.expect_response(re.compile("number=2")):
        choose(panel)
    page.reload()
    lab.wait()
    page.unroute_all()
    page.on("request", lambda request: sent.extend(re.findall(r"objects/upload.*number=(\d+)", request.url)))
    panel = lab.show("Storage")
    panel.get_by_role("button", name="garden", exact=True).click()
    choose(panel)
    expect(row(panel, "large.bin")).to_be_visible()
    assert sent == ["3"]
    assert store.read(ObjectUrl("garden", "large.bin")) == (tmp_path / "large.bin").read_bytes()


def test_a_long_folder_comes_page_by_page(panel: Locator, store: S3Store) -> None:
    for number in range(230):
        store.write(ObjectUrl("garden", f"many/{number:03}"), b"")
    panel.get_by_role("button", name="flowers", exact=True).click()
    expect(row(panel, "rose.csv")).to_be_visible()
    panel.get_by_role("button", name="garden", exact=True).click()
    panel.get_by_role("button", name="many", exact=True).click()
    expect(panel.locator(".mlp-object-name")).to_have_count(200)
    panel.get_by_role("button", name="Show more").click()
    expect(panel.locator(".mlp-object-name")).to_have_count(230)


def test_a_store_that_goes_away_is_said(panel: Locator, store: S3Store) -> None:
    store.delete_below(ObjectUrl("garden"))
    store.remove_bucket("garden")
    panel.get_by_role("button", name="flowers", exact=True).click()
    expect(panel.get_by_text("There is no bucket garden at")).to_be_visible()
    store.make_bucket("garden")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.get_by_text("Nothing here yet.")).to_be_visible()
