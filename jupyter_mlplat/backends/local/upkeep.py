"""Work on a prepared image that nobody waits for: compiling its modules and keeping a spare copy.

Run as `python -m jupyter_mlplat.backends.local.upkeep DATA_DIR DIGEST`, in a process of its own with the lowest
priority. It may be killed at any time.
"""

import compileall
import contextlib
import os
import sys
from pathlib import Path

from jupyter_mlplat.backends.local.trees import COMPILED, Trees
from jupyter_mlplat.oci.disk import try_lock
from jupyter_mlplat.oci.layout import Layout


def main(data_dir: str, digest: str) -> None:
    os.nice(19)
    data = Path(data_dir)
    trees = Trees(data / "trees", Layout(data / "images"))
    # One at a time for each image; whoever comes second has nothing to add.
    with contextlib.suppress(FileNotFoundError):
        held = try_lock(trees.folder(digest))
        if held is not None:
            compile_modules(trees.folder(digest))
            trees.stock(digest)


def compile_modules(tree: Path) -> None:
    """Compile every module of a tree, the small packages first: an instance may be waiting for them."""
    done = tree / COMPILED
    if done.exists():
        return
    for package in sorted((tree / "env").glob("lib/python3.*/site-packages/*"), key=_weight):
        if package.is_dir():
            compileall.compile_dir(package, maxlevels=100, quiet=2)
        elif package.suffix == ".py":
            compileall.compile_file(package, quiet=2)
    done.touch()


def _weight(package: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(package))


if __name__ == "__main__":
    main(*sys.argv[1:])
