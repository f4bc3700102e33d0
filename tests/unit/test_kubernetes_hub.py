"""The Hub's configuration on a cluster, and the pure parts of its spawner."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from kubernetes_asyncio.client import ApiException
from traitlets.config import Config

from jupyter_mlplat.hub import kube_spawner
from jupyter_mlplat.hub.kube_config import ClusterHubSettings, configure
from jupyter_mlplat.hub.kube_spawner import answer_of, has_ended, is_same, variables_of, with_environment
from jupyter_mlplat.hub.roles import SERVER_TOKEN_SCOPES

Json = dict[str, Any]
SECRETS = {
    "MLPLAT_HUB_DATABASE_URL": "postgresql://hub:pw@database/hub",
    "MLPLAT_HUB_PROXY_TOKEN": "proxy",
    "MLPLAT_HUB_PLATFORM_TOKEN": "platform",
    "MLPLAT_HUB_HUB_SECRET": "secret",
    "MLPLAT_HUB_COOKIE_SECRET": "ab" * 32,
}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLPLAT_HUB_NAMESPACE", "users")
    config = Config()
    configure(config, ClusterHubSettings())
    return config


def test_the_hub_asks_the_platform_and_uses_the_users_namespace(configured: Config) -> None:
    assert configured.MlplatKubeSpawner.platform_url == "http://platform:8011/services/mlplat/v1"
    assert configured.KubeSpawner.namespace == "users"
    assert configured.JupyterHub.spawner_class.endswith("MlplatKubeSpawner")
    assert configured.JupyterHub.db_url == "postgresql://hub:pw@database/hub"


def test_what_holds_on_one_machine_holds_here(configured: Config) -> None:
    assert configured.JupyterHub.cleanup_servers is False
    assert configured.ConfigurableHTTPProxy.should_start is False
    assert configured.Spawner.server_token_scopes == SERVER_TOKEN_SCOPES
    platform = configured.JupyterHub.services[0]
    assert (platform["url"], platform["api_token"]) == ("http://platform:8011", "platform")
    user = next(role for role in configured.JupyterHub.load_roles if role["name"] == "user")
    assert not any("servers" in scope and not scope.startswith("access:") for scope in user["scopes"])


def test_nobody_has_the_supervisors_key_where_none_is_given(configured: Config) -> None:
    assert "api_token" not in configured.JupyterHub.services[1]


def test_pods_that_ended_are_left_for_the_platform(configured: Config) -> None:
    assert configured.KubeSpawner.delete_stopped_pods is False


def pod(image: str = "image@sha256:1", phase: str = "Running", owner: str = "alice", **metadata: Any) -> Json:
    labels = {"mlplat.io/instance": "i-1", "mlplat.io/owner": owner}
    env = [{"name": "HOME", "value": "/home/ma-user"}]
    return {
        "metadata": {"name": "instance-i-1", "labels": labels, **metadata},
        "spec": {"containers": [{"name": "notebook", "image": image, "env": env}]},
        "status": {"phase": phase},
    }


def test_the_hubs_variables_are_added_and_the_platforms_stay() -> None:
    given = pod()
    built = with_environment(given, {"HOME": "/evil", "JUPYTERHUB_API_TOKEN": "t"})
    assert variables_of(built) == {"HOME": "/home/ma-user", "JUPYTERHUB_API_TOKEN": "t"}
    assert variables_of(given) == {"HOME": "/home/ma-user"}, "the platform's manifest is left alone"


def test_a_pod_is_adopted_only_for_the_same_instance_owner_and_image() -> None:
    assert is_same(pod(), pod(annotations={"mlplat.io/flavor": "another"}))
    assert not is_same(pod(owner="mallory"), pod())
    assert not is_same(pod(image="image@sha256:2"), pod())


def test_a_pod_that_leaves_or_is_over_is_no_server() -> None:
    assert not has_ended(pod())
    assert has_ended(pod(phase="Failed"))
    assert has_ended(pod(deletionTimestamp="2026-01-01T00:00:00Z"))
    over = pod()
    over["status"]["containerStatuses"] = [{"name": "notebook", "state": {"terminated": {"exitCode": 1}}}]
    assert has_ended(over)


def failing_with(*failures: Exception) -> Callable[[], Awaitable[str]]:
    """Something to ask that fails in turn, and then answers."""
    left = list(failures)

    async def ask() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return ask


async def test_an_api_server_that_is_silent_or_unwell_is_asked_again() -> None:
    assert (
        await answer_of(failing_with(ClientConnectionError(), TimeoutError(), ApiException(503), ApiException(401)))
        == "answer"
    )


async def test_a_refusal_is_final_at_once_and_an_api_server_that_stays_unwell_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ApiException):
        await answer_of(failing_with(ApiException(403)))
    monkeypatch.setattr(kube_spawner, "UNWELL_SECONDS", 0)
    with pytest.raises(ApiException):
        await answer_of(failing_with(ApiException(500)))
