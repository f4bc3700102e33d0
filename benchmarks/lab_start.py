"""How long JupyterLab takes to be usable in a browser, with and without our extensions."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.stage import answers
from benchmarks.table import Figure, compared
from jupyter_mlplat.embedded.ports import free_port
from jupyter_mlplat.testing.platform import until


def lab_start(folder: Path, rounds: int) -> Figure:
    """Navigation to a visible launcher, in turns, from a cold browser cache."""
    ours, theirs = [], []
    with (
        _lab(folder / "ours", []) as with_ours,
        _lab(folder / "plain", ["jupyter-mlplat"]) as plain,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        for address in (with_ours, plain):
            _open(browser, address)
        for _ in range(rounds):
            ours.append(_open(browser, with_ours))
            theirs.append(_open(browser, plain))
        browser.close()
    return compared("Lab start, our extensions added", ours, "plain Lab", theirs, "≤ 1.05×", lambda r: r <= 1.05)


def _chromium() -> str:
    return os.environ.get("CHROMIUM", "/usr/bin/chromium")


def _open(browser: Browser, address: str) -> float:
    page = browser.new_page()
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".jp-Launcher", timeout=60_000)
    took = time.monotonic() - began
    page.context.close()
    return took


@contextmanager
def _lab(folder: Path, disabled: list[str]) -> Iterator[str]:
    """A JupyterLab of this environment; `disabled` names the lab extensions that are left out."""
    folder.mkdir(parents=True)
    port = free_port()
    config = folder / "config"
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(config), "HOME": str(folder)}
    (config / "labconfig").mkdir(parents=True)
    entries = ", ".join(f'"{name}": true' for name in disabled)
    (config / "labconfig" / "page_config.json").write_text(f'{{"disabledExtensions": {{{entries}}}}}')
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
               "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]  # fmt: skip
    if disabled:
        command.append("--ServerApp.jpserver_extensions={'jupyter_mlplat.server_extension': False}")
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{address}/api"), "JupyterLab answers")
        yield f"{address}/lab?reset"
    finally:
        process.terminate()
        process.wait(30)
