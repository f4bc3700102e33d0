"""`python -m jupyter_mlplat.embedded` with the stand-in platform."""

import sys

from jupyter_mlplat.embedded import __main__, parts

parts.PLATFORM_MODULE = "tests.hub.standin_platform"
sys.exit(__main__.main())
