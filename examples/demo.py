"""The main job from beginning to end on this machine: `make demo`.

Each step is a command that you could type yourself; only the notebook cells go through a kernel. Options:
`--data-dir` and `--port` say where the platform runs, `--stop` ends it afterwards instead of leaving Lab running.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_mlplat.sdk import Client
from jupyter_mlplat.sdk.profile import load_profile
from jupyter_mlplat.testing.lab import Lab

HERE = Path(__file__).resolve().parent
DIGITS = HERE / "digits"
MLPLAT = Path(sys.executable).parent / "mlplat"
IMAGE = "digits:1"


class Demo:
    """Runs commands against the platform of one data folder, and says how long each step took."""

    def __init__(self, data_dir: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
        self.environment = {**inherited, "MLPLAT_DATA_DIR": str(data_dir)}
        self.steps = 0

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        self.steps += 1
        print(
            f"\n\033[1m{self.steps}. {words}\033[0m" if sys.stdout.isatty() else f"\n{self.steps}. {words}", flush=True
        )
        began = time.monotonic()
        yield
        print(f"   done in {time.monotonic() - began:.1f} s", flush=True)

    def mlplat(self, *arguments: str) -> None:
        """Run one command of the CLI as a user would, and show it."""
        print("   $ mlplat " + " ".join(arguments), flush=True)
        subprocess.run([MLPLAT, *arguments], check=True, env=self.environment)

    def client(self) -> Client:
        return Client.from_profile(load_profile(self.environment))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".data"))
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--stop", action="store_true")
    options = parser.parse_args()
    demo = Demo(options.data_dir.resolve())
    began = time.monotonic()
    with demo.step("Start the platform: proxy, Hub and control plane"):
        demo.mlplat("up", "--detach", "--port", str(options.port))
    with demo.step("Create an instance on the PyTorch image"):
        remove_leftovers(demo)
        demo.mlplat("instance", "create", "first", "--image", "pytorch", "--flavor", "cpu.1u2g", "--wait")
    with demo.step("Install a package that the image lacks"):
        demo.mlplat("instance", "exec", "first", "--", "pip", "install", "--quiet", "scikit-learn")
    with demo.step("Switch the flavor while a kernel keeps its variable"):
        switch_live(demo)
    with demo.step("Save the environment as an image"):
        demo.mlplat("instance", "save-image", "first", "--name", "digits", "--tag", "1", "--wait")
    with demo.step("Start a second instance from the saved image and use the package"):
        demo.mlplat("instance", "create", "second", "--image", IMAGE, "--flavor", "cpu.2u4g", "--wait")
        code = "import sklearn, torch; print('scikit-learn', sklearn.__version__, 'and torch', torch.__version__)"
        demo.mlplat("instance", "exec", "second", "--", "python", "-c", code)
    with demo.step("Train on scikit-learn's digits as a job on the saved image"):
        put_notebook(demo)
        arguments = ["--image", IMAGE, "--flavor", "cpu.2u4g", "--param", "epochs=5", "--wait"]
        demo.mlplat("job", "submit", str(DIGITS / "train.ipynb"), *arguments)
        demo.mlplat("job", "metrics", "train")
    check(demo)
    print(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    if options.stop:
        demo.mlplat("down")
        return
    print("JupyterLab goes on running; the notebook is in digits/ of the instance `second`:")
    demo.mlplat("status")
    print("Stop it with: " + f"MLPLAT_DATA_DIR={options.data_dir} {MLPLAT.relative_to(Path.cwd())} down")


def remove_leftovers(demo: Demo) -> None:
    """Take away what an earlier run of the demo left in this data folder."""
    with demo.client() as client:
        for instance in client.instances.list():
            if instance.name in ("first", "second"):
                client.instances.delete(instance.id)
                client.instances.wait(instance.id)
        for image in client.images.list(name=IMAGE):
            client.images.delete(image.id)


def lab_of(client: Client, name: str) -> Lab:
    instance = client.instances.find(name)
    return Lab(client.instances.address(instance).removesuffix("/lab"), client.profile.token)


def switch_live(demo: Demo) -> None:
    with demo.client() as client:
        lab = lab_of(client, "first")
        cores = "import os; print('cores', len(os.sched_getaffinity(0)), '- answer', answer)"
        with lab.kernel() as kernel:
            kernel.run("answer = 42")
            print("   kernel:", kernel.run(cores).strip(), flush=True)
            demo.mlplat("instance", "switch", "first", "--flavor", "cpu.2u4g")
            print("   kernel:", kernel.run(cores).strip(), flush=True)


def put_notebook(demo: Demo) -> None:
    """Copy the example into the work folder of the second instance, where Lab shows it."""
    with demo.client() as client:
        lab = lab_of(client, "second")
        for path in sorted(DIGITS.glob("*.*")):
            lab.put(f"digits/{path.name}", path.read_bytes())


def check(demo: Demo) -> None:
    """The job must have learnt something."""
    with demo.client() as client:
        job = client.jobs.find("train")
        print(f"   accuracy by epoch: {[round(p.values['accuracy'], 3) for p in client.jobs.metrics(job.id)]}")
        if job.last_metrics["accuracy"] < 0.9:
            sys.exit("The network did not learn: its accuracy is below 0.9.")


if __name__ == "__main__":
    main()
