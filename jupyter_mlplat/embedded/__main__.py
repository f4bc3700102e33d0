"""The detached supervisor: `python -m jupyter_mlplat.embedded DATA_DIR [--port PORT] [--tell DESCRIPTOR]`.

To the descriptor it writes one line of JSON: `{"ready": true}` once everything answers, or what went wrong.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from jupyter_mlplat.embedded.control import run_here
from jupyter_mlplat.embedded.failures import described
from jupyter_mlplat.embedded.folder import DataFolder
from jupyter_mlplat.errors import MlplatError


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; 0 then, 1 if the platform could not be started."""
    arguments = _parser().parse_args(argv)
    folder = DataFolder.at(arguments.data_dir)
    try:
        folder.prepare()
        run_here(folder, arguments.port, lambda: _tell(arguments.tell, {"ready": True}))
    except MlplatError as error:
        print(error.message, file=sys.stderr)
        _tell(arguments.tell, described(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jupyter_mlplat.embedded")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--tell", type=int)
    return parser


def _tell(descriptor: int | None, word: dict[str, Any]) -> None:
    if descriptor is not None:
        with os.fdopen(descriptor, "w") as listener:
            listener.write(json.dumps(word) + "\n")


if __name__ == "__main__":
    sys.exit(main())
