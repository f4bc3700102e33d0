"""Runs JupyterLab as it is in an image; says with what codes its page and our extension's script are answered."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"]
variables = {**os.environ, "JUPYTER_TOKEN": "secret", "JUPYTER_RUNTIME_DIR": "/tmp/runtime"}  # noqa: S108


def address(folder: str) -> str:
    """Where it listens, as it notes itself once it does."""
    for _ in range(600):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():  # noqa: PTH112
            if name.startswith("jpserver-") and name.endswith(".json"):
                with open(f"{folder}/{name}") as file:  # noqa: PTH123
                    return str(json.load(file)["url"])
        time.sleep(0.1)
    raise SystemExit("JupyterLab does not start")


def code(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        return int(answer.status)


lab = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
try:
    base = address(variables["JUPYTER_RUNTIME_DIR"])
    time.sleep(1)
    print(code(f"{base}lab?token=secret"), code(f"{base}lab/extensions/jupyter-mlplat/package.json?token=secret"))
finally:
    lab.terminate()
    lab.wait()
    shutil.rmtree(variables["JUPYTER_RUNTIME_DIR"])
