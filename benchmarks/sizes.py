"""What the images of MLPLAT_REGISTRY weigh there, against their budgets."""

import os
from collections.abc import Iterator

import httpx

from benchmarks.table import Figure
from jupyter_mlplat.backends.local.presets import catalog_folder, load
from jupyter_mlplat.oci.manifest import MANIFEST

CONTROL_PLANE = {"platform": 150, "node-agent": 80}
"""Budgets in compressed megabytes, as those of the presets in their catalogue."""


def sizes() -> Iterator[Figure]:
    """One for each image with a budget that the registry has; others are left out."""
    budgets = CONTROL_PLANE | {preset.key: preset.budget for preset in load(catalog_folder()) if preset.budget}
    for name, budget in budgets.items():
        if (size := _size(name)) is not None:
            reach, ratio = f"≤ {budget} MB", f"{size / budget:.2f}×"
            yield Figure(f"image {name}, compressed", f"{size:.0f} MB", "–", ratio, reach, size <= budget)


def _size(name: str) -> float | None:
    url = f"http://{os.environ['MLPLAT_REGISTRY']}/v2/mlplat/{name}/manifests/dev"
    answer = httpx.get(url, headers={"Accept": MANIFEST})
    if answer.status_code == 404:
        return None
    return sum(int(layer["size"]) for layer in answer.raise_for_status().json()["layers"]) / 1e6
