"""How much memory the processes of a running instance use, as its own server says."""

from typing import Any

import httpx

from jupyter_mlplat.backends.base import InstanceSpec
from jupyter_mlplat.backends.kubernetes.names import NOTEBOOK
from jupyter_mlplat.backends.kubernetes.pod import PORT
from jupyter_mlplat.backends.kubernetes.resources import MIB
from jupyter_mlplat.errors import Conflict

Json = dict[str, Any]

GIB = 1024**3
SECONDS = 5.0


async def memory_in_use(pod: Json) -> int | None:
    """Bytes, None where the server does not say. It is asked with the token that the pod carries for itself."""
    variables = _variables(pod)
    address, token = pod["status"].get("podIP"), variables.get("JUPYTERHUB_API_TOKEN")
    if not address or not token:
        return None
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{PORT}{variables.get('JUPYTERHUB_SERVICE_PREFIX', '/')}mlplat/readings"
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answer = await client.get(url, headers={"Authorization": f"token {token}"})
        return int(answer.json()["memory"]["used_bytes"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


async def refuse_less_than_used(pod: Json, spec: InstanceSpec) -> None:
    """Conflict where the instance uses more memory already than `spec.flavor` has.

    Where the server does not answer nothing is refused here: the kubelet looks for itself before it takes memory away.
    """
    used, limit = await memory_in_use(pod), spec.flavor.memory_mib * MIB
    if used is not None and used > limit:
        raise Conflict(
            f"The instance uses {used / GIB:.1f} GiB, more than the {limit / GIB:.3g} GiB of {spec.flavor.name}. "
            "Restart kernels that you no longer need, then switch again."
        )


def _variables(pod: Json) -> dict[str, str]:
    container: Json = next((found for found in pod["spec"]["containers"] if found["name"] == NOTEBOOK), {})
    return {entry["name"]: entry.get("value", "") for entry in container.get("env") or []}
