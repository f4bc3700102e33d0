"""An environment inside an instance on a whole platform: its kernel runs here, in what is saved, and in jobs."""

import json
from pathlib import Path

import nbformat
import pytest
from wheels import make_wheel

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = pytest.mark.hub

CODE = "import alpha, os, sys; print(alpha.VERSION, sys.prefix, os.environ['PATH'].split(':')[0])"


def said(client: Client, instance: Instance, *command: str) -> tuple[int, str, str]:
    """A command in the instance: its exit code, and what it says on both streams."""
    out, err = [], []
    code = client.instances.exec(instance.id, list(command), stdout=out.append, stderr=err.append)
    return code, b"".join(out).decode(), b"".join(err).decode()


@pytest.fixture(scope="module")
def with_vision(
    platform: RunningPlatform, alice: Client, alices_instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> Instance:
    """An instance with the environment `vision`, made as one does in its terminal."""
    wheels = tmp_path_factory.mktemp("wheels")
    make_wheel(wheels, "alpha", "1.0", script=True)
    lab = platform.lab(alice, alices_instance)
    lab.put("requirements.txt", f"--find-links {wheels}\nalpha\n".encode())
    code, out, err = said(alice, alices_instance, "mlplat", "env", "create", "vision", "requirements.txt")
    assert code == 0, err
    assert "vision is ready" in out
    return alices_instance


def prefix_of(platform: RunningPlatform, instance: Instance) -> str:
    return f"{platform.data_dir}/instances/{instance.id}/env/envs/vision"


def test_its_kernel_runs_with_its_packages(platform: RunningPlatform, alice: Client, with_vision: Instance) -> None:
    prefix = prefix_of(platform, with_vision)
    with platform.lab(alice, with_vision).kernel("vision") as kernel:
        assert kernel.run(CODE).split() == ["1.0", prefix, f"{prefix}/bin"]
    code, out, _ = said(alice, with_vision, "mlplat", "env", "list", "--json")
    assert (code, [row["name"] for row in json.loads(out)]) == (0, ["base", "vision"])


def test_a_saved_image_offers_it_to_instances_and_jobs(
    platform: RunningPlatform, alice: Client, with_vision: Instance, tmp_path: Path
) -> None:
    image = alice.images.wait(alice.instances.save_image(with_vision.id, "with-vision", "1").id)
    other = alice.instances.wait(alice.instances.create("other", image=image.id, flavor="cpu.1u2g").id)
    prefix = prefix_of(platform, other)
    with platform.lab(alice, other).kernel("vision") as kernel:
        assert kernel.run(CODE).split() == ["1.0", prefix, f"{prefix}/bin"]
    assert said(alice, other, f"{prefix}/bin/alpha")[1].split() == ["1.0", prefix]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(CODE)],
        metadata={"kernelspec": {"name": "vision", "display_name": "vision", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "see.ipynb")
    job = alice.jobs.wait(alice.jobs.submit(tmp_path / "see.ipynb", image=image.id, flavor="cpu.1u2g").id)
    log = "".join(alice.jobs.logs(job.id))
    assert job.phase == Phase.COMPLETED, log
    assert f"{job.id}/env/envs/vision/bin" in log
