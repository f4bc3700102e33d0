"""The shell of a terminal."""

import shutil
from pathlib import Path

_RC_FILE = Path(__file__).with_name("terminal.bashrc")


def shell_command() -> list[str]:
    """Bash with a prompt that names the instance; a plain sh where there is no bash."""
    bash = shutil.which("bash")
    return [bash, "--rcfile", str(_RC_FILE), "-i"] if bash else ["sh", "-i"]
