"""`python -m jupyter_mlplat.embedded` with the stand-in platform; run as a module with tests/hub on the path."""

import sys

from jupyter_mlplat.embedded import __main__, parts

parts.PLATFORM_MODULE = "standin_platform"
sys.exit(__main__.main())
