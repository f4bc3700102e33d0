"""What a job takes in before it runs, and what leaves it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from runner_stage import Running

from jupyter_mlplat.runner.channels import Outputs
from jupyter_mlplat.runner.layout import JobFolder, Spec

USE_CHANNELS = """
import os
from pathlib import Path
data, out = Path(os.environ["MLPLAT_INPUT_data"]), Path(os.environ["MLPLAT_OUTPUT_model"])
(out / "v1").mkdir()
(out / "v1/m.bin").write_text((data / "deep/x.txt").read_text())
print(sorted(path.name for path in data.iterdir()), os.listdir(os.environ["MLPLAT_INPUT_table"]))
"""


def test_inputs_come_before_and_outputs_leave_after(job: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "data/deep").mkdir(parents=True)
    (tmp_path / "data/deep/x.txt").write_text("42")
    (tmp_path / "data/secret").symlink_to("/etc/hostname")
    (tmp_path / "one.csv").write_text("a,b")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/old").write_text("kept")
    running = job(
        "t.ipynb",
        [USE_CHANNELS],
        inputs=[("data", str(tmp_path / "data")), ("table", str(tmp_path / "one.csv"))],
        outputs=[("model", str(tmp_path / "models"))],
    )
    assert running.end().state == "completed"
    assert "['deep'] ['one.csv']" in running.log
    assert (tmp_path / "models/v1/m.bin").read_text() == "42"
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["old", "v1"]


def test_outputs_of_a_failed_job_are_kept_as_well(job: Callable[..., Running], tmp_path: Path) -> None:
    source = (
        "import os\nopen(os.environ['MLPLAT_OUTPUT_model'] + '/last.ckpt', 'w').write('x')\nraise ValueError('bad')"
    )
    running = job("t.py", source, outputs=[("model", str(tmp_path / "models"))])
    state = running.end()
    assert (state.state, state.exit_code, state.message) == (
        "failed",
        1,
        "t.py failed with exit code 1: ValueError: bad",
    )
    assert (tmp_path / "models/last.ckpt").read_text() == "x"


def test_only_new_and_changed_outputs_are_copied_and_none_is_removed(tmp_path: Path) -> None:
    folder, target = JobFolder(tmp_path), tmp_path / "storage/bucket/run"
    outputs = Outputs(Spec("j-1", 1, "t", "python", "t.py", 1, "/env", outputs=[("model", str(target))]), folder)
    outputs.prepare()
    outputs.push()
    assert not target.exists()
    source = folder.outputs / "model"
    (source / "deep").mkdir()
    (source / "deep/a").write_text("1")
    (source / "b").write_text("1")
    (source / "link").symlink_to("/etc/hostname")
    outputs.push()
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "deep"]
    (target / "b").write_text("changed there")
    (source / "deep/a").write_text("22")
    outputs.push()
    assert ((target / "deep/a").read_text(), (target / "b").read_text()) == ("22", "changed there")
    (source / "b").unlink()
    outputs.push()
    assert (target / "b").exists()


@pytest.mark.parametrize("entry", ["t.ipynb", "t.py"])
def test_a_missing_input_fails_before_anything_runs(job: Callable[..., Running], tmp_path: Path, entry: str) -> None:
    content = ["print('ran')"] if entry == "t.ipynb" else "print('ran')"
    running = job(entry, content, inputs=[("data", str(tmp_path / "none"))])
    state = running.end()
    assert (state.state, state.exit_code) == ("failed", None)
    assert "input 'data' does not exist" in state.message
    assert "ran\n" not in running.log


def test_an_output_that_cannot_leave_fails_the_job(job: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    source = "import os\nopen(os.environ['MLPLAT_OUTPUT_model'] + '/m', 'w').close()"
    state = job("t.py", source, outputs=[("model", str(tmp_path / "models"))]).end()
    assert state.state == "failed"
    assert "output 'model' could not be copied" in state.message
