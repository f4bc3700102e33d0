"""`python fill.py CHANNEL SPEC…` fills the user's environment with packages of conda."""

import sys
from pathlib import Path

from jupyter_mlplat.environments.conda_packages import install
from jupyter_mlplat.environments.files import Recipe

ENVIRONMENT = Path("/opt/mlplat/env")

channel, *specs = sys.argv[1:]
install(
    ENVIRONMENT, ENVIRONMENT, Recipe("conda", Path("environment.yml"), channels=(channel,), specs=tuple(specs)), print
)
