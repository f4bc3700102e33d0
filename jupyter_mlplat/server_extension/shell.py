"""The shell of a terminal."""

import shutil
from pathlib import Path

RC_FILE = Path(__file__).with_name("terminal.bashrc")
"""What a shell reads when it starts: the user's own settings, then the environment of the instance."""


def shell_command() -> list[str]:
    """Bash with a prompt that names the instance; a plain sh where there is no bash."""
    bash = shutil.which("bash")
    return [bash, "--rcfile", str(RC_FILE), "-i"] if bash else ["sh", "-i"]
