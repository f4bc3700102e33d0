"""The files that go into a job and that come out of it: none reaches out of its place."""

import hashlib
import json
from pathlib import Path

import httpx
import pytest
from odd_requests import FLAVOR, refusal, send_job

from jupyter_mlplat.errors import InvalidInput, NotFound
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = pytest.mark.hub

LINKS = {
    "out": [("out", "->/etc"), ("run.py", "print(open('out/passwd').read())")],
    "through": [("a", "->."), ("a/b", "->.."), ("run.py", "print(1)")],
    "over": [("run.py", "print(1)"), ("run.py", "print(2)")],
    "above": [("../escaped.txt", "x"), ("run.py", "print(1)")],
    "absolute": [("/escaped.txt", "x"), ("run.py", "print(1)")],
}


@pytest.mark.parametrize("trick", LINKS)
def test_a_bundle_that_reaches_out_fails_its_job_and_touches_nothing(
    platform: RunningPlatform, carol: Client, trick: str
) -> None:
    ended = carol.jobs.wait(send_job(carol, LINKS[trick], "run.py").id, timeout=60)
    assert ended.phase is Phase.FAILED
    assert ended.phase_message.startswith("The bundle holds ")
    assert "root:" not in "".join(carol.jobs.logs(ended.id))
    job = platform.data_dir / "jobs" / ended.id
    assert not (job / "code").exists()
    assert list(platform.data_dir.rglob("escaped.txt")) == []


NASTY = "new\\nline\\r\\nX-Evil: 1.txt"


LEAVES_TRAPS = f"""
import os
os.chdir(os.environ["MLPLAT_OUTPUT_DIR"])
open("plain.txt", "w").write("fine")
open("quote\\".txt", "w").write("fine")
open("{NASTY}", "w").write("fine")
open(b"not\\xfftext", "w").write("fine")
os.symlink("/etc/passwd", "passwd")
os.symlink("/etc", "etc")
os.symlink(".", "loop")
os.mkfifo("pipe")
"""


def test_what_a_job_left_is_a_trap_to_nobody(carol: Client, raw: httpx.Client, tmp_path: Path) -> None:
    ended = carol.jobs.wait(send_job(carol, {"traps.py": LEAVES_TRAPS}, "traps.py").id, timeout=60)
    assert ended.phase is Phase.COMPLETED, ended.phase_message
    assert {"plain.txt", 'quote".txt'} <= {file.path for file in carol.jobs.files(ended.id)}
    for path in ("passwd", "etc/passwd", "pipe", "..%2fspec.json", "%2e%2e%2fspec.json"):
        assert raw.get(f"/jobs/{ended.id}/files/{path}").status_code == 404, path
    answer = raw.get(f"/jobs/{ended.id}/files/quote%22.txt")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''quote%22.txt"
    answer = raw.get(f"/jobs/{ended.id}/files/new%0Aline%0D%0AX-Evil:%201.txt")
    assert "X-Evil" not in answer.headers
    carol.jobs.download(ended.id, tmp_path / "got")
    assert (tmp_path / "got/plain.txt").read_text() == "fine"
    assert not [path for path in (tmp_path / "got").rglob("*") if path.is_symlink() or path.name == "passwd"]


def test_a_bundle_that_is_none_is_refused(raw: httpx.Client, carol: Client) -> None:
    wrong = raw.put(f"/bundles/sha256:{'0' * 64}", content=b"x")
    assert isinstance(refusal(wrong), InvalidInput)
    assert "Send it again" in refusal(wrong).message
    assert "64 digits" in refusal(raw.put("/bundles/sha256:zz", content=b"x")).message
    junk = b"this is no archive"
    digest = f"sha256:{hashlib.sha256(junk).hexdigest()}"
    raw.put(f"/bundles/{digest}", content=junk).raise_for_status()
    body = {"name": "junk", "bundle": digest, "entry": "run.py", "flavor": FLAVOR}
    assert "no whole tar+zstd file" in refusal(raw.post("/jobs", content=json.dumps(body))).message
    with pytest.raises(NotFound, match="Upload it first"):
        carol._wire.send("GET", f"/bundles/sha256:{'1' * 64}")
