"""What cannot be meant is refused in words that say what to do, and nothing is lost by it."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import httpx
import nbformat
import pytest
from odd_requests import FLAVOR, Json, refusal, send_bundle, send_job

from jupyter_mlplat.errors import AlreadyExists, InvalidInput, MlplatError, SoldOut, TooLarge
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.lab import Lab
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def instance(carol: Client) -> Iterator[Instance]:
    made = carol.instances.wait(carol.instances.create("bad-input", flavor=FLAVOR).id)
    yield made
    carol.instances.delete(made.id)


@pytest.fixture(scope="module")
def lab(platform: RunningPlatform, carol: Client, instance: Instance) -> Iterator[Lab]:
    lab = platform.lab(carol, instance)
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def work(platform: RunningPlatform, instance: Instance) -> Path:
    """The work folder of the instance, as it lies on the disk."""
    return platform.data_dir / "instances" / instance.id / "work"


def notebook(*sources: str, kernel: str = "python3", parameters: str = "") -> str:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if parameters:
        cells.insert(0, nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return str(nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})))


ODD_NOTEBOOKS = {
    "not JSON": "{nope",
    "no code to run": notebook(),
    "'julia-1.9'": notebook("1", kernel="julia-1.9"),
}


# names, tags, pages


@pytest.mark.parametrize("name", ["n" * 65, "../x", "🎉", "", "a b", "-a", "ａbc", "e\u0301", "a\n", "a\0b", "\ud83d"])
def test_a_name_that_cannot_be_is_refused_by_the_rule_in_words(raw: httpx.Client, name: str) -> None:
    error = refusal(raw.post("/instances", content=json.dumps({"name": name})))
    assert isinstance(error, InvalidInput)
    assert error.message.startswith("name: ")
    assert "use 1 to 64 letters A to Z, digits, Chinese characters, - and _" in error.message


@pytest.mark.parametrize("body", ["{", "[1]", "", '{"name": "\\ud800', '{"name": "\xff"}', "[" * 100_000, "1" * 5_000])
def test_a_body_that_is_no_object_is_refused(raw: httpx.Client, body: str) -> None:
    error = refusal(raw.post("/instances", content=body.encode("latin-1")))
    assert isinstance(error, InvalidInput)
    assert "body" in error.message


@pytest.mark.parametrize(("fields", "words"), [
    ({"name": None}, "name: must be text"),
    ({"nmae": "x"}, "nmae: is unknown here"),
    ({"description": "d" * 513}, "description: may have at most 512 characters"),
    ({"description": "\x1b[31mred"}, "description: '\\x1b[31mred' has control characters"),
    ({"tags": [{"key": "a"}, {"key": "a"}]}, "each tag key may be given once"),
    ({"tags": [{"key": ""}]}, "tags.0.key: must not be empty"),
    ({"tags": [{"key": str(number)} for number in range(21)]}, "at most 20 entries"),
    ({"image_id": ""}, "image_id: must not be empty"),
    ({"image_id": "\ud800"}, "image_id: must be text that UTF-8 can hold"),
    ({"image_id": "m-none"}, "There is no image 'm-none'"),
    ({"image_id": "../x"}, "There is no image '../x'"),
    ({"flavor": "cpu.none"}, "There is no flavor 'cpu.none'. Choose one of: cpu.1u2g"),
])  # fmt: skip
def test_a_wrong_field_is_named_and_nothing_is_made(raw: httpx.Client, carol: Client, fields: Json, words: str) -> None:
    error = refusal(raw.post("/instances", content=json.dumps({"name": "wrong-field"} | fields)))
    assert isinstance(error, InvalidInput)
    assert words in error.message
    assert carol.instances.list(name="wrong-field") == []


def test_the_cli_says_the_same(platform: RunningPlatform) -> None:
    done = platform.mlplat("instance", "create", "../x", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: name: '../x' cannot be taken: use 1 to 64 letters")
    assert "Traceback" not in done.stderr
    done = platform.mlplat("instance", "create", "fine", "--image", "no-such-image", check=False)
    assert done.returncode == 1
    assert "There is no image 'no-such-image'" in done.stderr


def test_a_name_that_one_has_is_taken(raw: httpx.Client, carol: Client, instance: Instance) -> None:
    with pytest.raises(AlreadyExists, match="You have an instance named bad-input already"):
        carol.instances.create("bad-input", flavor=FLAVOR)
    changed = refusal(raw.patch(f"/instances/{instance.id}", content='{"name": "../x"}'))
    assert "use 1 to 64 letters" in changed.message
    twice = '{"tags": [{"key": "a"}, {"key": "a"}]}'
    assert "each tag key may be given once" in refusal(raw.patch(f"/instances/{instance.id}", content=twice)).message
    assert carol.instances.get(instance.id).tags == instance.tags


@pytest.mark.parametrize(("name", "tag", "words"), [
    ("Upper", "1", "lower case letters and digits"),
    ("../x", "1", "lower case letters and digits"),
    ("a:b", "1", "lower case letters and digits"),
    ("n" * 129, "1", "use 1 to 128"),
    ("", "1", "use 1 to 128"),
    ("fine", "", "tag: '' cannot be taken: use 1 to 64"),
    ("fine", "t" * 65, "with its 65 characters"),
    ("fine", "..", "neither - nor . at the beginning"),
    ("fine", "a/b", "tag: 'a/b'"),
    ("fine", "1\n", "tag: '1\\n'"),
])  # fmt: skip
def test_an_image_is_saved_under_a_sound_name_only(
    raw: httpx.Client, carol: Client, instance: Instance, name: str, tag: str, words: str
) -> None:
    error = refusal(raw.post(f"/instances/{instance.id}/images", content=json.dumps({"name": name, "tag": tag})))
    assert isinstance(error, InvalidInput)
    assert words in error.message
    assert carol.images.list(name="fine") == []


@pytest.mark.parametrize(("query", "words"), [
    ("limit=0", "limit: must be 1 or more"),
    ("limit=-1", "limit: must be 1 or more"),
    ("limit=501", "limit: must be 500 or less"),
    ("limit=many", "limit: must be a whole number"),
    ("offset=-1", "offset: must be 0 or more"),
    (f"offset={10**30}", "offset: must be 10000000 or less"),
    ("status=ASLEEP", "status: must be one of 'INIT'"),
    ("sort_key=owner;drop", "sort_key: must be one of 'name'"),
    ("sort_dir=up", "sort_dir: must be one of 'asc' or 'desc'"),
    ("colour=red", "colour: is unknown here"),
    ("name=%00", "has control characters"),
])  # fmt: skip
def test_a_bad_page_is_refused(raw: httpx.Client, query: str, words: str) -> None:
    error = refusal(raw.get(f"/instances?{query}"))
    assert isinstance(error, InvalidInput)
    assert words in error.message


@pytest.mark.parametrize("path", ["/instances/%00", "/instances/🎉", "/instances/..%2fx", "/jobs/-1", "/images/%ff%fe"])
def test_an_id_that_cannot_be_is_not_there(carol: Client, path: str) -> None:
    with pytest.raises(MlplatError) as caught:
        carol._wire.send("GET", path)
    assert caught.value.message


def test_what_the_machine_lacks_is_sold_out_with_the_reason(carol: Client, instance: Instance, tmp_path: Path) -> None:
    lacking = [offer for offer in carol.flavors.list() if offer.sold_out]
    assert lacking, "this machine has everything that the catalogue knows"
    (tmp_path / "job.py").touch()
    for offer in lacking:
        reason = str(offer.reason)
        with pytest.raises(SoldOut, match=f"{offer.id} cannot be had now: {reason}. Choose another flavor"):
            carol.instances.create("too-large", flavor=offer.id)
    with pytest.raises(SoldOut, match="Choose another flavor"):
        carol.instances.switch(instance.id, flavor=lacking[0].id)
    with pytest.raises(SoldOut, match="Choose another flavor"):
        carol.jobs.submit(tmp_path / "job.py", flavor=lacking[0].id)
    assert carol.instances.get(instance.id).flavor == FLAVOR


# notebooks and their folders


@pytest.mark.parametrize("words", ["not JSON", "no code to run"])
def test_the_cli_refuses_an_odd_notebook(platform: RunningPlatform, tmp_path: Path, words: str) -> None:
    (tmp_path / "odd.ipynb").write_text(ODD_NOTEBOOKS[words])
    done = platform.mlplat("job", "submit", str(tmp_path / "odd.ipynb"), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: odd.ipynb ")
    assert words in done.stderr


def test_the_cli_and_a_kernel_that_the_image_lacks(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "odd.ipynb").write_text(ODD_NOTEBOOKS["'julia-1.9'"])
    done = platform.mlplat("job", "submit", str(tmp_path / "odd.ipynb"), "--flavor", FLAVOR, "--wait", check=False)
    assert done.returncode == 1
    assert "asks for the kernel 'julia-1.9', which the image does not have" in done.stdout + done.stderr


@pytest.mark.parametrize("words", ODD_NOTEBOOKS)
def test_lab_says_it_before_the_submission_and_refuses_it(lab: Lab, carol: Client, work: Path, words: str) -> None:
    (work / "odd.ipynb").write_text(ODD_NOTEBOOKS[words])
    preview = lab.http.get("/mlplat/submit/preview", params={"path": "odd.ipynb"}).json()
    assert any(words in problem for problem in preview["problems"])
    error = refusal(lab.http.post("/mlplat/submit", json={"path": "odd.ipynb", "name": "odd-from-lab"}))
    assert words in error.message
    assert carol.jobs.list(name="odd-from-lab") == []


@pytest.mark.parametrize("words", ODD_NOTEBOOKS)
def test_a_job_that_nobody_looked_at_fails_in_words(carol: Client, words: str) -> None:
    ended = carol.jobs.wait(send_job(carol, {"odd.ipynb": ODD_NOTEBOOKS[words]}, "odd.ipynb").id, timeout=60)
    assert ended.phase is Phase.FAILED
    assert words in ended.phase_message
    assert ended.phase_message in "".join(carol.jobs.logs(ended.id))


def test_a_folder_with_too_many_files_says_what_to_do(platform: RunningPlatform, lab: Lab, work: Path) -> None:
    folder = work / "many"
    folder.mkdir()
    (folder / "train.py").write_text("print('never run')\n")
    for number in range(1_000):
        (folder / f"{number}.txt").touch()
    way_out = "Leave some out with a file .mlplatignore in the folder, or put data into storage"
    done = platform.mlplat("job", "submit", str(folder / "train.py"), check=False)
    assert done.returncode == 1
    assert "The folder has 1,001 files and 1,000 may be sent." in done.stderr
    assert way_out in done.stderr
    preview = lab.http.get("/mlplat/submit/preview", params={"path": "many/train.py"}).json()
    assert any("1,001 files" in problem and way_out in problem for problem in preview["problems"])
    assert isinstance(refusal(lab.http.post("/mlplat/submit", json={"path": "many/train.py"})), TooLarge)
    (folder / ".mlplatignore").write_text("*.txt\n")
    preview = lab.http.get("/mlplat/submit/preview", params={"path": "many/train.py"}).json()
    assert preview["problems"] == []


# worse than that


@pytest.mark.parametrize(("fields", "words"), [
    ('"parameters": {"x": NaN}', "x is nan"),
    ('"parameters": {"x": 1e400}', "x is inf"),
    ('"parameters": {"x": -Infinity}', "x is -inf"),
    ('"parameters": {"x": "\\ud800"}', "parameters.x: '\\ud800' has characters that cannot be passed on"),
    ('"parameters": {"x": "a\\u0000b"}', "cannot be passed on"),
    ('"parameters": {"x": [1]}', "parameters.x: must be text, a number, or true or false"),
    ('"parameters": {"a b": 1}', "use 1 to 64 letters A to Z, digits and _"),
    ('"parameters": {"x": "' + "x" * 70_000 + '"}', "65,536 bytes"),
    ('"environment": {"A": "a\\u0000b"}', "environment.A: 'a\\x00b' has characters that cannot be passed on"),
    ('"environment": {"A=B": "c"}', "use 1 to 64 letters A to Z, digits and _"),
    ('"nodes": -1', "nodes: must be 1 or more"),
    ('"nodes": 2', "one node"),
    ('"retries": -1', "retries: must be 0 or more"),
    ('"entry": "../run.py"', "no path inside the bundle"),
    ('"entry": "other.py"', "does not hold 'other.py'"),
    ('"inputs": [{"name": "d", "url": "obs://data/../../bob/data"}]', "cannot be empty, . or .."),
    ('"inputs": [{"name": "d", "url": "file:///etc"}]', "a URL such as obs://bucket/folder is needed"),
    ('"image_id": "m-none"', "There is no image 'm-none'"),
])  # fmt: skip
def test_a_job_that_cannot_be_meant_is_refused(raw: httpx.Client, carol: Client, fields: str, words: str) -> None:
    digest = send_bundle(carol, {"run.py": "print(1)"})
    body = f'{{"name": "worse", "bundle": "{digest}", "entry": "run.py", "flavor": "{FLAVOR}", {fields}}}'
    error = refusal(raw.post("/jobs", content=body))
    assert isinstance(error, InvalidInput)
    assert words in error.message
    assert carol.jobs.list(name="worse") == []


def test_the_lists_can_be_read_after_all_that(platform: RunningPlatform, carol: Client) -> None:
    for client in (carol, platform.owner):
        assert all(math.isfinite(job.number) for job in client.jobs.list())
        assert client.instances.list() is not None
        assert client.audit.list(limit=50)


def test_a_body_without_end_is_not_held_in_memory(raw: httpx.Client, platform: RunningPlatform) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(40):
            yield b"a" * 1024**2
        yield b'"}'

    status = Path(f"/proc/{platform.pid('platform')}/status")
    before = peak_memory(status)
    error = refusal(raw.post("/instances", content=endless()))
    assert isinstance(error, TooLarge)
    assert peak_memory(status) - before < 30 * 1024**2


def peak_memory(status: Path) -> int:
    """In bytes."""
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("path", ["data//x", "data/a%2F..%2Fb", "data/" + "k" * 256, "data/%00", "Data/x", "data/"])
def test_a_key_that_cannot_be_is_refused(raw: httpx.Client, path: str) -> None:
    assert isinstance(refusal(raw.put(f"/storage/objects/{path}", content=b"x")), InvalidInput)


@pytest.mark.parametrize("asked", ["bytes=" + "9" * 5_000 + "-", "bytes=-" + "9" * 5_000, "bytes=5-2", "lines=1-2"])
def test_a_range_that_cannot_be_gives_the_whole(raw: httpx.Client, asked: str) -> None:
    raw.put("/storage/objects/data/ranged", content=b"whole").raise_for_status()
    answer = raw.get("/storage/objects/data/ranged", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, b"whole")


def test_a_mistake_of_ours_in_one_request_costs_no_other_its_answer(raw: httpx.Client) -> None:
    """A platform that cuts a connection off takes along the next request that the proxy sends through it."""
    for _ in range(5):
        refusal(raw.post("/jobs", content='{"name": "\\ud800"}'))
        assert raw.get("/me").json()["user"] == "carol"
