"""What is on the platform when its pictures are taken: a small team with instances, images, jobs and data."""

import random
from pathlib import Path

from notebooks import failing, write_notebook

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.models import Job
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.ssh_client import Machine

MODULE = '''"""Flowers of two species, and what tells them apart."""

import math
import random

Flower = tuple[list[float], int]
MEANS = ([5.0, 3.4, 1.5, 0.2], [5.9, 2.8, 4.3, 1.3])


def pick(count: int, noise: float, seed: int) -> list[Flower]:
    """Measures in cm of `count` flowers, and the species of each."""
    chance = random.Random(seed)
    return [([chance.gauss(m, noise) for m in MEANS[k % 2]], k % 2) for k in range(count)]


class Classifier:
    """Logistic regression."""

    def __init__(self) -> None:
        self.weights = [0.0] * 5

    def predict(self, measures: list[float]) -> float:
        score = self.weights[4] + sum(w * m for w, m in zip(self.weights, measures))
        return 1 / (1 + math.exp(-score))

    def learn(self, flowers: list[Flower], rate: float) -> float:
        """One pass over the flowers; the mean loss."""
        total = 0.0
        for measures, species in flowers:
            p = self.predict(measures)
            total -= math.log(p if species else 1 - p)
            self.weights = [w - rate * (p - species) * m for w, m in zip(self.weights, [*measures, 1.0])]
        return total / len(flowers)

    def accuracy(self, flowers: list[Flower]) -> float:
        return sum((self.predict(m) > 0.5) == s for m, s in flowers) / len(flowers)
'''
MEANS = ((5.0, 3.4, 1.5, 0.3), (5.9, 2.8, 4.3, 1.3))
SPECIES = ("setosa", "versicolor")
TITLE = "# Two species of iris\n\nLearns to tell them apart from four measures, and logs every epoch."
PARAMETERS = """epochs = 30  # how often the flowers are seen
learning_rate = 0.002
noise = 0.9  # how different flowers of one species are
shuffle = True
pause = 0.0  # seconds between epochs"""
DATA = """import random
import time

import mlplat
from flowers import Classifier, pick

train, test = pick(300, noise, seed=1), pick(100, noise, seed=2)
print(f"{len(train)} flowers to learn from, {len(test)} to test with")"""
LOOP = """model = Classifier()
for epoch in range(1, epochs + 1):
    if shuffle:
        random.Random(epoch).shuffle(train)
    loss = model.learn(train, learning_rate)
    mlplat.log(step=epoch, loss=loss, accuracy=model.accuracy(test))
    time.sleep(pause)"""
KEEP = """import json
import os
from pathlib import Path

outputs = Path(os.environ.get("MLPLAT_OUTPUT_DIR", "."))
(outputs / "weights.json").write_text(json.dumps(model.weights))
print(f"accuracy {model.accuracy(test):.2f}, weights in weights.json")"""


def table(count: int) -> str:
    """Measures of flowers as CSV."""
    chance = random.Random(count)  # noqa: S311 flowers, not keys
    lines = ["sepal_length,sepal_width,petal_length,petal_width,species"]
    for number in range(count):
        means, species = MEANS[number % 2], SPECIES[number % 2]
        lines.append(",".join([*(f"{chance.gauss(mean, mean / 15):.1f}" for mean in means), species]))
    return "\n".join(lines) + "\n"


def iris(folder: Path) -> list[Path]:
    """`iris.ipynb` and the module beside it."""
    folder.mkdir(exist_ok=True)
    notebook, module = folder / "iris.ipynb", folder / "flowers.py"
    write_notebook(notebook, TITLE, PARAMETERS, [DATA, LOOP, KEEP])
    module.write_text(MODULE)
    return [notebook, module]


class Team:
    """Ada, who is looked at, and Grace beside her."""

    def __init__(self, ada: Client, grace: Client, folder: Path) -> None:
        self.ada = ada
        self.grace = grace
        self.folder = folder
        self.notebook, self.module = iris(folder / "iris")

    def fill_storage(self) -> None:
        """A bucket with data, and one for models."""
        self.ada.storage.make_bucket("models")
        file = self.folder / "object"
        for name, flowers in (("train", 6000), ("test", 2000)):
            file.write_text(table(flowers))
            self.ada.storage.upload(file, f"obs://data/iris/{name}.csv")
        file.write_bytes(bytes(9 << 20))
        self.ada.storage.upload(file, "obs://data/faces/part-001.tar")

    def laptop(self) -> Machine:
        """Ada's own machine, from which she goes into instances over SSH."""
        return Machine(self.folder / "laptop", self.ada)

    def add_instances(self) -> None:
        """Beside the first: a stopped one of Ada's, a running one of Grace's."""
        reports = self.ada.instances.create("reports", flavor="cpu.1u2g", description="The weekly figures")
        speech = self.grace.instances.create("speech", flavor="cpu.2u8g")
        for client, made in ((self.ada, reports), (self.grace, speech)):
            client.instances.wait(made.id)
        self.ada.instances.stop(reports.id)
        self.ada.instances.wait(reports.id)

    def save_image(self, instance: Instance, name: str, tag: str, description: str) -> None:
        """What the instance has, and one package more."""
        self.ada.instances.exec(instance.id, ["pip", "install", "--quiet", "tabulate"])
        image = self.ada.instances.save_image(instance.id, name, tag, description)
        self.ada.images.wait(image.id)

    def run_jobs(self, image: str) -> Job:
        """Jobs that went well, one that did not, one that was stopped; the best of them."""
        for rate in (0.0005, 0.004):
            self._done(self.ada, {"learning_rate": rate}, image)
        broken = self.ada.jobs.submit(failing(self._empty("broken")), name="clean-measures", flavor="cpu.1u2g")
        self.ada.jobs.wait(broken.id)
        self._done(self.grace, {}, None)
        stopped = self.start_job(image, epochs=200)
        self.ada.jobs.stop(stopped.id)
        self.ada.jobs.wait(stopped.id)
        return self._done(self.ada, {"learning_rate": 0.002, "epochs": 40}, image)

    def start_job(self, image: str, epochs: int = 60) -> Job:
        """A job that has come to its long cell."""
        slow = {"epochs": epochs, "pause": 1.0}
        job = self.ada.jobs.submit(self.notebook, image=image, flavor="cpu.1u2g", parameters=slow)
        for text in self.ada.jobs.logs(job.id, follow=True):
            if "step 3" in text:
                break
        return job

    def _done(self, client: Client, parameters: dict[str, float], image: str | None) -> Job:
        job = client.jobs.submit(self.notebook, image=image, flavor="cpu.1u2g", parameters=parameters)
        return client.jobs.wait(job.id)

    def _empty(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder
