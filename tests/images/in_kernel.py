"""Runs a file in a kernel of the Python that runs this, as a notebook would; the exit code says whether it failed."""

import sys
from pathlib import Path

from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
try:
    reply = client.execute_interactive(Path(sys.argv[1]).read_text(), timeout=240)
finally:
    manager.shutdown_kernel(now=True)
sys.exit(reply["content"]["status"] != "ok")
