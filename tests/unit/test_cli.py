"""The command line: exit codes, JSON, tables, questions."""

import base64
import io
import json
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_stage import TOKEN, Asked, Reply, Stage, event, flavor, image, instance, job, json_reply, page, problem
from typer.testing import CliRunner, Result

from jupyter_mlplat import __version__
from jupyter_mlplat.cli.main import app
from jupyter_mlplat.sdk import logs, waiting, wire

ID = "i-abcdefghjkmn"
JOB = "j-abcdefghjkmn"
IMAGE = "m-abcdefghjkmn"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(waiting, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(logs, "RECONNECT_PAUSE", 0.0)
    monkeypatch.setattr(wire, "RETRY_DELAYS", ())
    stage = Stage()
    monkeypatch.setenv("MLPLAT_URL", stage.url)
    monkeypatch.setenv("MLPLAT_TOKEN", TOKEN)
    stage.on("GET", "me", json_reply({"user": "alice", "admin": False, "instance_id": None, "permissions": []}))
    stage.on("GET", "instances", page([instance()]))
    stage.on("GET", f"instances/{ID}", json_reply(instance()))
    stage.on("GET", "images", page([image()]))
    stage.on("GET", "jobs", page([job()]))
    stage.on("GET", f"jobs/{JOB}", json_reply(job()))
    yield stage
    stage.close()


def mlplat(*argv: str) -> Result:
    return CliRunner().invoke(app, list(argv))


def test_the_version() -> None:
    assert mlplat("--version").stdout == f"mlplat {__version__}\n"


def test_help_is_quick_because_it_loads_nothing_that_it_does_not_need() -> None:
    program = (
        "import sys, jupyter_mlplat.cli.main as m\n"
        "try: m.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'httpx', 'pydantic', 'rich', 'asyncio'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "instance" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "argv",
    [
        ["instance", "create"],
        ["instance", "switch", "digits"],
        ["instance", "list", "--status", "walking"],
        ["job", "submit", "a.py", "--param", "lr"],
        ["job", "submit", "a.py", "--nodes", "0"],
        ["nonsense"],
        ["instance", "show", "x", "--yaml"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_2(stage: Stage, argv: list[str]) -> None:
    result = mlplat(*argv)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_a_refusal_is_1_with_plain_words_and_the_request(stage: Stage) -> None:
    stage.on(
        "POST", "instances", problem(409, "MLPLAT.ALREADY_EXISTS", "There is an instance 'digits' already.", "q-9")
    )
    result = mlplat("instance", "create", "digits")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: There is an instance 'digits' already.\nrequest q-9\n"


def test_no_platform_is_1(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLPLAT_URL")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    result = mlplat("instance", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No platform is known here.")


def test_a_file_that_cannot_be_written_is_1(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stage.on("GET", f"jobs/{JOB}/archive", Reply())
    result = mlplat("job", "download", "7", str(tmp_path / "file" / "below"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Not a directory" in result.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["instance", "list"],
        ["instance", "show", "digits"],
        ["instance", "open", "digits"],
        ["image", "list"],
        ["image", "show", "python"],
        ["flavor", "list"],
        ["job", "list"],
        ["job", "show", "7"],
        ["job", "events", "7"],
        ["job", "metrics", "7"],
        ["job", "logs", "7"],
        ["storage", "ls"],
        ["storage", "ls", "obs://b"],
        ["storage", "stat", "obs://b/a"],
        ["storage", "endpoint", "list"],
        ["audit", "list"],
        ["quota", "show"],
    ],
    ids=" ".join,
)
def test_readers_print_json_alone_or_a_table(stage: Stage, argv: list[str]) -> None:
    stage.on("GET", f"instances/{ID}/events", page([event("Created", "Created with python")]))
    stage.on("GET", f"images/{IMAGE}", json_reply(image(packages=[{"name": "numpy", "version": "2.4"}])))
    stage.on("GET", "flavors", json_reply([flavor(), flavor("gpu.1a100", sold_out=True, reason="no GPU here")]))
    stage.on("GET", f"jobs/{JOB}/events", page([event("Scheduled", "Placed")]))
    stage.on(
        "GET", f"jobs/{JOB}/metrics", json_reply([{"step": 1, "at": "2026-03-01T10:00:00Z", "values": {"loss": 0.5}}])
    )
    stage.on("GET", f"jobs/{JOB}/logs", lambda asked: Reply(body=b"epoch 1\n"[int(asked.query["offset"]) :]))
    stage.on("GET", "storage/endpoints", json_reply([{"name": "local", "provider": "local", "buckets": ["b"]}]))
    found = {"key": "b/a", "size": 3, "modified_at": None, "is_prefix": False}
    stage.on("GET", "storage/objects", json_reply({"objects": [found], "next": None}))
    stage.on("HEAD", "storage/objects/b/a", Reply(headers={"Content-Length": "3"}))
    stage.on("GET", "audit", page([]))
    stage.on("GET", "quotas", json_reply([{"noun": "job", "used": 1, "limit": 10}]))
    result = mlplat(*argv, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    json.loads(result.stdout)
    table = mlplat(*argv)
    assert table.exit_code == 0
    assert "\x1b" not in table.stdout


def test_a_table_is_aligned_and_has_words_for_states(stage: Stage) -> None:
    stage.on("GET", "instances", page([instance(), instance("数字", id="i-2", status="START_FAILED")]))
    lines = mlplat("instance", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "IMAGE", "FLAVOR", "CREATED", "ID"]
    assert "● Running" in lines[1]
    assert "● Start failed" in lines[2]
    assert lines[0].index("STATE") == lines[1].index("●") == lines[2].index("●") + len("数字")
    assert all(line == line.rstrip() for line in lines)


def test_an_empty_list_says_what_to_do(stage: Stage) -> None:
    stage.on("GET", "instances", page([]))
    result = mlplat("instance", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "mlplat instance create" in result.stderr


def step(name: str, status: str, second: int) -> dict[str, object]:
    done = f"2026-03-01T10:00:{second:02d}Z" if status == "COMPLETED" else None
    begun = f"2026-03-01T10:00:{second - 1:02d}Z"
    return {"name": name, "status": status, "message": "", "started_at": begun, "finished_at": done}


def test_create_and_wait_says_each_step_once_with_its_time(stage: Stage) -> None:
    storage, compute = step("PREPARE_STORAGE", "COMPLETED", 1), step("PREPARE_COMPUTE", "COMPLETED", 3)
    begun = step("PREPARE_COMPUTE", "PROCESSING", 3)
    stage.on("POST", "instances", json_reply(instance(status="INIT"), 202))
    stage.on(
        "GET",
        f"instances/{ID}",
        json_reply(instance(status="CREATING", steps=[storage, begun])),
        json_reply(instance(status="CREATING", steps=[storage, begun])),
        json_reply(instance(steps=[storage, compute])),
    )
    result = mlplat("instance", "create", "digits", "--image", "python:3.12", "--tag", "team=vision", "--wait")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines() == ["✓ Prepare storage   1.0 s", "✓ Prepare compute   1.0 s"]
    assert result.stdout.startswith("digits is running.")
    body = stage.requests("POST", "instances")[0].json
    assert (body["image_id"], body["tags"]) == (IMAGE, [{"key": "team", "value": "vision"}])


def choices(effect: str) -> Reply:
    return json_reply([{"flavor": flavor("cpu.4u16g"), "effect": effect, "note": "words"}])


def test_a_live_switch_asks_nothing(stage: Stage) -> None:
    stage.on("GET", f"instances/{ID}/flavors", choices("live"))
    stage.on("POST", f"instances/{ID}/switch", json_reply(instance(target_flavor="cpu.4u16g"), 202))
    stage.on("GET", f"instances/{ID}", json_reply(instance(flavor="cpu.4u16g")))
    result = mlplat("instance", "switch", "digits", "--flavor", "cpu.4u16g")
    assert result.stdout == "digits is switched to cpu.4u16g without a restart.\n"
    assert stage.requests("POST", f"instances/{ID}/switch")[0].json["restart"] is False


def test_a_switch_that_restarts_needs_a_yes(stage: Stage) -> None:
    stage.on("GET", f"instances/{ID}/flavors", choices("restart"))
    stage.on("POST", f"instances/{ID}/switch", json_reply(instance(target_flavor="cpu.4u16g"), 202))
    refused = mlplat("instance", "switch", "digits", "--flavor", "cpu.4u16g")
    assert refused.exit_code == 1
    assert "restarts digits" in refused.stderr
    assert "--yes" in refused.stderr
    assert stage.requests("POST", f"instances/{ID}/switch") == []
    stage.on("GET", f"instances/{ID}", json_reply(instance(flavor="cpu.4u16g")))
    agreed = mlplat("instance", "switch", "digits", "--flavor", "cpu.4u16g", "--yes")
    assert agreed.stdout == "digits is switched to cpu.4u16g.\n"
    assert stage.requests("POST", f"instances/{ID}/switch")[0].json["restart"] is True


def test_a_switch_that_was_dropped_is_a_failure_with_its_reason(stage: Stage) -> None:
    stage.on("GET", f"instances/{ID}/flavors", choices("live"))
    stage.on("POST", f"instances/{ID}/switch", json_reply(instance(target_flavor="cpu.4u16g"), 202))
    stage.on("GET", f"instances/{ID}/events", page([event("UpdateFlavorFailed", "The memory is in use.")]))
    result = mlplat("instance", "switch", "digits", "--flavor", "cpu.4u16g")
    assert result.exit_code == 1
    assert "The memory is in use." in result.stderr


@pytest.mark.parametrize(
    ("argv", "path"),
    [
        (["instance", "delete", "digits"], f"instances/{ID}"),
        (["image", "delete", "python:3.12"], f"images/{IMAGE}"),
        (["job", "delete", "train"], f"jobs/{JOB}"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_deleting_needs_a_yes(stage: Stage, argv: list[str], path: str) -> None:
    rows = {"instances": instance(), "images": image(), "jobs": job()}
    stage.on("DELETE", path, json_reply(rows[path.partition("/")[0]], 202))
    assert mlplat(*argv).exit_code == 1
    assert stage.requests("DELETE", path) == []
    assert mlplat(*argv, "-y").exit_code == 0
    assert len(stage.requests("DELETE", path)) == 1


def test_exec_passes_streams_and_exit_status_on(stage: Stage) -> None:
    messages = [
        {"stream": "stdout", "data": base64.b64encode(b"out\n").decode()},
        {"stream": "stderr", "data": base64.b64encode(b"err\n").decode()},
        {"exit_code": 4},
    ]
    pieces = [json.dumps(message).encode() + b"\n" for message in messages]
    stage.on("POST", f"/user/alice/{ID}/mlplat/exec", Reply(pieces=pieces))
    result = mlplat("instance", "exec", "digits", "--", "ls", "-l", "--all")
    assert (result.exit_code, result.stdout, result.stderr) == (4, "out\n", "err\n")
    assert stage.asked[-1].json["argv"] == ["ls", "-l", "--all"]
    as_json = mlplat("instance", "exec", "digits", "--json", "--", "ls")
    assert json.loads(as_json.stdout) == {"exit_code": 4, "stdout": "out\n", "stderr": "err\n"}


def test_save_image_and_wait(stage: Stage) -> None:
    saving = image("mine", "v1", status="CREATING", packages=[])
    stage.on("POST", f"instances/{ID}/images", json_reply(image("mine", "v1", status="INIT"), 202))
    done = image("mine", "v1", size=3 * 1024**2, added=1024**2, packages=[])
    stage.on("GET", f"images/{IMAGE}", json_reply(saving), json_reply(done))
    result = mlplat("instance", "save-image", "digits", "--name", "mine", "--tag", "v1", "--wait")
    assert result.stdout.startswith("Saved mine:v1 (3 MiB, 1 MiB of its own).")


def test_a_save_that_fails_says_why(stage: Stage) -> None:
    stage.on("POST", f"instances/{ID}/images", json_reply(image("mine", "v1", status="INIT"), 202))
    failed = image("mine", "v1", status="CREATE_FAILED", status_message="The disk is full.", packages=[])
    stage.on("GET", f"images/{IMAGE}", json_reply(failed))
    result = mlplat("instance", "save-image", "digits", "--name", "mine", "--tag", "v1", "--wait")
    assert result.exit_code == 1
    assert "The disk is full." in result.stderr


def accept_bundles(stage: Stage) -> None:
    answer = stage.answer

    def with_bundles(asked: Asked) -> Reply:
        if "/bundles/" not in asked.path:
            return answer(asked)
        stage.asked.append(asked)
        digest = asked.path.rpartition("/")[2]
        known = json_reply({"digest": digest, "size": 1}, 201)
        return known if asked.method == "PUT" else problem(404, "MLPLAT.NOT_FOUND", "no")

    stage.answer = with_bundles  # type: ignore[method-assign]


def test_submit_sends_typed_parameters_and_channels(stage: Stage, tmp_path: Path) -> None:
    accept_bundles(stage)
    (tmp_path / "train.py").write_text("print(1)\n")
    stage.on("POST", "jobs", json_reply(job(), 202))
    result = mlplat(
        "job", "submit", str(tmp_path / "train.py"), "--param", "lr=0.1", "--param", "opt=adam", "--param", "fast=true",
        "--input", "data=obs://digits/train", "--output", "model=obs://models", "--env", "SEED=1", "--retries", "2",
        "--image", "python", "--flavor", "cpu.2u8g",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Job train #7 is submitted. Follow it: mlplat job logs -f 7\n"
    body = stage.requests("POST", "jobs")[0].json
    assert body["parameters"] == {"lr": 0.1, "opt": "adam", "fast": True}
    assert body["environment"] == {"SEED": "1"}
    assert body["inputs"] == [{"name": "data", "url": "obs://digits/train"}]
    assert body["outputs"] == [{"name": "model", "url": "obs://models"}]
    assert (body["image_id"], body["flavor"], body["retries"], body["entry"]) == (IMAGE, "cpu.2u8g", 2, "train.py")


@pytest.mark.parametrize(("phase", "code"), [("Completed", 0), ("Failed", 1), ("Terminated", 1)])
def test_submit_and_wait_follows_the_log_and_tells_the_end(stage: Stage, tmp_path: Path, phase: str, code: int) -> None:
    accept_bundles(stage)
    (tmp_path / "train.py").write_text("print(1)\n")
    stage.on("POST", "jobs", json_reply(job(phase="Creating"), 202))
    log = b"epoch 1\nepoch 2\n"
    stage.on("GET", f"jobs/{JOB}/logs", lambda asked: Reply(pieces=[log[int(asked.query["offset"]) :]] * 1))
    stage.on("GET", f"jobs/{JOB}", json_reply(job(phase=phase, phase_message="words")))
    result = mlplat("job", "submit", str(tmp_path / "train.py"), "--wait")
    assert (result.exit_code, result.stdout) == (code, log.decode())
    assert f"Job train #7 {phase.lower()} in 3 m 12 s" in result.stderr


def test_a_followed_log_as_json_is_one_object_a_line(stage: Stage) -> None:
    log = b"a\nb\n"
    stage.on("GET", f"jobs/{JOB}/logs", lambda asked: Reply(pieces=[log[int(asked.query["offset"]) :]]))
    stage.on("GET", f"jobs/{JOB}", json_reply(job(phase="Completed")))
    result = mlplat("job", "logs", "-f", "7", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"text": "a\nb\n"}]


MAIN = threading.main_thread().ident or 0


def until_main_thread_reads() -> None:
    """Python drops an interrupt that comes in the middle of a finaliser, so it is to come where people send it."""
    moment = threading.Event()
    while (code := sys._current_frames()[MAIN].f_code).co_name != "read" or "httpcore" not in code.co_filename:
        moment.wait(0.001)


def test_leaving_a_wait_says_that_the_work_goes_on(stage: Stage) -> None:
    def interrupted(asked: Asked) -> Reply:
        def pieces() -> Iterator[bytes]:
            yield b"epoch 1\n"
            until_main_thread_reads()
            signal.pthread_kill(MAIN, signal.SIGINT)
            yield b"epoch 2\n"

        return Reply(pieces=pieces())

    stage.on("GET", f"jobs/{JOB}/logs", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # some runners of tests ignore it
    try:
        result = mlplat("job", "logs", "-f", "7")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert "Job train #7 runs on." in result.stderr


def test_a_download_tells_where_the_files_are(stage: Stage, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(info := tarfile.TarInfo("model.bin"))
        assert info.size == 0
    stage.on("GET", f"jobs/{JOB}/archive", Reply(body=packed.getvalue()))
    result = mlplat("job", "download", "train", str(tmp_path / "out"))
    assert result.stdout == f"Downloaded 1 file (0 B) of train #7 to {tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "model.bin").is_file()


def test_storage_copies_and_removes(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    stored = {"key": "b/a.txt", "size": 3, "modified_at": None, "is_prefix": False}
    stage.on("PUT", "storage/objects/b/a.txt", json_reply(stored, 201))
    stage.on("PUT", "storage/buckets/b", json_reply({"name": "local", "provider": "local", "buckets": ["b"]}, 201))
    stage.on("GET", "storage/objects", json_reply({"objects": [stored], "next": None}))
    stage.on("DELETE", "storage/objects/b/", json_reply({"deleted": 1}))
    assert mlplat("storage", "mb", "obs://b").stdout == "obs://b is made.\n"
    assert mlplat("storage", "cp", str(tmp_path / "a.txt"), "obs://b").stdout == "Copied 1 file (3 B).\n"
    asked = mlplat("storage", "rm", "-r", "obs://b")
    assert (asked.exit_code, "deletes 1 object below obs://b" in asked.stderr) == (1, True)
    assert mlplat("storage", "rm", "-r", "obs://b", "--yes").stdout == "Deleted 1 object.\n"
