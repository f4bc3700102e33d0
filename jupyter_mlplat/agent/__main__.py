"""`python -m jupyter_mlplat.agent`: the node agent, set up by `MLPLAT_AGENT_…` variables."""

import logging

from jupyter_mlplat.agent.app import make_app
from jupyter_mlplat.agent.powers import check_powers
from jupyter_mlplat.agent.settings import AgentSettings
from jupyter_mlplat.serving import serve


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    check_powers()
    settings = AgentSettings()
    serve(make_app(settings), host=settings.host, port=settings.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
