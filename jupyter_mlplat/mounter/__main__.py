"""`python -m jupyter_mlplat.mounter`: the mounter of a node, set up by `MLPLAT_MOUNTER_…` variables."""

import logging

from jupyter_mlplat.mounter.app import make_app
from jupyter_mlplat.mounter.mounts import missing
from jupyter_mlplat.mounter.settings import MounterSettings
from jupyter_mlplat.serving import serve


def main() -> None:
    """OSError, in words, where the node or the image lacks what mounts need."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if lack := missing():
        raise OSError(f"Nothing can be mounted: {lack}.")
    settings = MounterSettings()
    serve(make_app(settings), host=settings.host, port=settings.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
