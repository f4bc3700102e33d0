"""Say in words what is missing before anything is installed."""

import shutil
import subprocess
import sys


def node_major() -> int:
    """The major version of Node on the path, 0 where there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    answer = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(answer.stdout.lstrip("v").split(".")[0])


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (says so before anything is installed)
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11 …")
    if node_major() < 20:
        sys.exit("Node.js 20 or newer with npm is needed to build the Lab extension from this repository.")


main()
