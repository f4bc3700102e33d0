"""Write constraints.txt of each preset image: the versions of all that comes with what it asks for.

PyTorch itself stays out, for its builds are named by what they compute on; requirements.txt says its version.
"""

import asyncio
import subprocess

import uv

from jupyter_mlplat.backends.local import moxing, presets
from jupyter_mlplat.environments.pip_settings import pip_settings, uv_options

PYTHON = "3.11"


def lock(preset: presets.Preset, settings: dict[str, str]) -> None:
    target = preset.requirements.with_name("constraints.txt")
    options = ["--python-version", PYTHON, "--no-header", "--no-annotate", "--no-emit-package", "torch", "--upgrade"]
    sources = uv_options(settings, preset.torch_backend)
    command = [uv.find_uv_bin(), "pip", "compile", "--quiet", *options, *sources, str(preset.requirements), "-"]
    more = "\n".join(moxing.REQUIRES) if preset.moxing else ""
    subprocess.run(
        [*command, "--output-file", str(target)], input=more, text=True, check=True, stdout=subprocess.DEVNULL
    )


def main() -> None:
    settings = asyncio.run(pip_settings())
    for preset in presets.load(presets.catalog_folder()):
        lock(preset, settings)


if __name__ == "__main__":
    main()
