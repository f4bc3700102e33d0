"""The spawner as the Hub calls it, on a real cluster: polling, reflectors, named servers, deletion, adoption.

What KubeSpawner promises to the Hub holds for our class too; what it does behind the platform's back does not.
"""

import asyncio
import contextlib
import copy
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from instances_stage import HOST_ADDRESS, REGISTRY, RESTRICTED, SMALL, StandIn, eventually, image_reference
from jupyterhub import orm
from jupyterhub.objects import Hub, Server
from jupyterhub.spawner import SpawnException
from kubespawner.clients import _client_cache
from traitlets.config import Config

from jupyter_mlplat.backends.base import InstanceSpec, ServerLaunch
from jupyter_mlplat.backends.kubernetes.client import Cluster, path_of
from jupyter_mlplat.backends.kubernetes.pod import pod as build_pod
from jupyter_mlplat.backends.kubernetes.settings import KubernetesSettings
from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.hub.kube_spawner import MlplatKubeSpawner, variables_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
Json = dict[str, Any]
SECRET = "of the tests"  # noqa: S105
ANSWERING = ["/opt/mlplat/env/bin/python", "-m", "http.server", "8888"]
ENDING = """
import http.server, os, sys

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(int(sys.argv[1]))
        super().do_GET()

http.server.ThreadingHTTPServer(("0.0.0.0", 8888), Handler).serve_forever()
"""


class User:
    """What a spawner reads of the Hub's user."""

    def __init__(self, name: str, orm_user: orm.User) -> None:
        self.name = self.escaped_name = name
        self.orm_user, self.id = orm_user, 1
        self.url = self.base_url = f"/user/{name}/"
        self.server = Server(base_url=self.base_url)


class Fleet:
    """Spawners of one namespace, and the stand-in of the platform that they ask."""

    def __init__(self) -> None:
        self.namespace = f"spawn-{secrets.token_hex(3)}"
        self.cluster = Cluster()
        self.platform = StandIn(SECRET)
        self.settings = KubernetesSettings(namespace=self.namespace, api_url="http://platform", registry=REGISTRY)
        self.db = orm.new_session_factory("sqlite:///:memory:")()

    def config(self, **traits: Any) -> Config:
        config = Config()
        config.KubeSpawner.namespace = self.namespace
        config.KubeSpawner.delete_grace_period = 1
        config.KubeSpawner.events_enabled = False
        config.Spawner.start_timeout = 100
        config.MlplatKubeSpawner.platform_url = f"http://127.0.0.1:{self.platform.port}"
        config.MlplatKubeSpawner.hub_secret = SECRET
        config.MlplatKubeSpawner.update(traits)
        return config

    def spawner(self, name: str, user: str = "alice", **traits: Any) -> MlplatKubeSpawner:
        """A new spawner object for a named server, as a Hub has it that has just started."""
        orm_user = orm.User.find(self.db, user) or orm.User(name=user)
        self.db.add(orm_user)
        self.db.commit()
        known = self.db.query(orm.Spawner).filter_by(name=name, user=orm_user).first()
        orm_spawner = known or orm.Spawner(name=name, user=orm_user)
        orm_server = orm.Server(base_url=f"/user/{user}/{name}/")
        self.db.add_all([orm_spawner, orm_server])
        self.db.commit()
        spawner = MlplatKubeSpawner(
            db=self.db,
            hub=Hub(ip=HOST_ADDRESS, port=8081),
            user=User(user, orm_user),
            orm_spawner=orm_spawner,
            config=self.config(**traits),
            api_token=secrets.token_hex(8),
            oauth_client_id="unused",
        )
        spawner.server = Server(orm_server=orm_server)
        return spawner

    def pod(self, name: str, user: str = "alice", command: list[str] | None = None) -> Json:
        """The platform's pod for a server; a small program answers in place of Lab."""
        spec = InstanceSpec(
            instance_id=name,
            owner=user,
            name=name,
            image_id="im-1",
            image_digest="",
            image_name="python:dev",
            flavor=SMALL.model_copy(update={"memory_mib": 64}),
            image_reference=image_reference(),
        )
        pod = build_pod(spec, self.settings, console="/services/mlplat/")
        pod["spec"]["volumes"][0] = {"name": "work", "emptyDir": {}}
        container = pod["spec"]["containers"][0]
        container["command"] = command or ANSWERING
        container["resources"] = {
            "requests": {"cpu": "10m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "64Mi"},
        }
        return pod

    def permit(self, spawner: MlplatKubeSpawner, pod: Json | None = None) -> None:
        """Let the platform want the server, and give the spawner a permit for one start."""
        permit = secrets.token_hex(8)
        launch = ServerLaunch(spawner.name, spawner.user.name, pod=pod or self.pod(spawner.name, spawner.user.name))
        self.platform.permits[permit] = launch
        self.platform.wanted.add(spawner.name)
        spawner.user_options = {"permit": permit}

    async def start(self, spawner: MlplatKubeSpawner, pod: Json | None = None) -> str:
        """Start as the Hub does, which writes down where the server is; its address."""
        self.permit(spawner, pod)
        url = httpx.URL(await asyncio.wait_for(spawner.start(), 120))
        spawner.server.ip, spawner.server.port = url.host, url.port
        self.db.commit()
        return str(url)

    async def end(self, *spawners: MlplatKubeSpawner) -> None:
        """Stop what the platform no longer wants."""
        for spawner in spawners:
            self.platform.wanted.discard(spawner.name)
            await spawner.stop(now=True)

    async def seen(self, name: str) -> Json | None:
        try:
            return await self.cluster.get(path_of(self.namespace, "pods", f"instance-{name}"))
        except NotFound:
            return None

    async def uid(self, name: str) -> str | None:
        pod = await self.seen(name)
        return pod["metadata"]["uid"] if pod else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    fleet = Fleet()
    await fleet.cluster.create("/api/v1/namespaces", {"metadata": {"name": fleet.namespace, "labels": RESTRICTED}})
    try:
        yield fleet
    finally:
        await MlplatKubeSpawner._stop_all_reflectors()
        for client in list(_client_cache.values()):
            await client.api_client.close()
        fleet.platform.close()
        await fleet.cluster.delete(f"/api/v1/namespaces/{fleet.namespace}")
        await fleet.cluster.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(fleet: Fleet) -> AsyncIterator[MlplatKubeSpawner]:
    """The spawner of a server that tests leave running."""
    spawner = fleet.spawner("i-spawned")
    await fleet.start(spawner)
    yield spawner
    await fleet.end(spawner)


def address_of(spawner: MlplatKubeSpawner) -> str:
    """Where a started server answers."""
    return f"http://{spawner.server.ip}:{spawner.server.port}"


async def test_a_server_is_started_polled_and_stopped(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-life")
    assert isinstance(await spawner.poll(), int), "nothing runs yet"
    url = await fleet.start(spawner)
    pod = await fleet.seen("i-life")
    assert pod and pod["status"]["phase"] == "Running"
    assert await spawner.poll() is None
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200
    await fleet.end(spawner)
    assert await fleet.seen("i-life") is None
    assert isinstance(await spawner.poll(), int)


async def test_stopping_what_is_not_there_is_no_error(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-nothing")
    await fleet.end(spawner)
    assert isinstance(await spawner.poll(), int)


async def test_named_servers_of_one_user_have_pods_of_their_own(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    other = fleet.spawner("i-other")
    assert (one.pod_name, other.pod_name) == ("instance-i-spawned", "instance-i-other")
    assert await fleet.start(other) != address_of(one)
    await fleet.end(other)
    assert await other.poll() is not None
    assert await one.poll() is None
    assert await fleet.seen("i-spawned")


async def test_spawners_share_one_reflector_which_can_be_replaced(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    other = fleet.spawner("i-b", user="bob")
    await other._start_watching_pods()
    before = one.pod_reflector
    assert other.pod_reflector is before
    await one._start_watching_pods(replace=True)
    assert one.pod_reflector is other.pod_reflector is not before
    assert before._stopping
    assert await one.poll() is None


async def test_a_reflector_that_missed_changes_lists_anew(one: MlplatKubeSpawner) -> None:
    one.pod_reflector.resources.clear()
    assert isinstance(await one.poll(), int)
    await one._start_watching_pods(replace=True)
    assert await one.poll() is None


async def test_a_server_that_ended_tells_its_exit_code_and_its_pod_is_the_platforms_to_delete(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-over", delete_stopped_pods=True)
    await _end(await fleet.start(spawner, fleet.pod("i-over", command=_ends_with(7))))
    assert await eventually(lambda: spawner.poll()) == 7
    assert await eventually(lambda: _phase(fleet, "i-over", "Failed"))
    assert await spawner.poll() == 7
    assert await fleet.seen("i-over"), "the platform wants it"
    fleet.platform.wanted.discard("i-over")
    assert await spawner.poll() == 7
    assert await fleet.seen("i-over") is None


def _ends_with(code: int) -> list[str]:
    """A server that ends with this code when it is asked to."""
    return ["/opt/mlplat/env/bin/python", "-c", ENDING, str(code)]


async def _end(url: str) -> None:
    async with httpx.AsyncClient() as client:
        with contextlib.suppress(httpx.HTTPError):
            await client.get(f"{url}/end")


async def test_a_pod_that_waits_is_starting_and_one_that_is_removed_meanwhile_ends_the_start(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-waits")
    pod = fleet.pod("i-waits")
    pod["spec"]["nodeSelector"] = {"no": "node"}
    start = asyncio.create_task(fleet.start(spawner, pod))
    await eventually(lambda: fleet.seen("i-waits"))
    assert await spawner.poll() is None
    await fleet.cluster.delete(path_of(fleet.namespace, "pods", "instance-i-waits"), grace_seconds=0)
    with pytest.raises(SpawnException):
        await start


async def test_a_restarted_hub_finds_the_server_by_its_state(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    again = fleet.spawner("i-spawned")
    again.load_state(one.orm_spawner.state)
    assert again.api_token == one.api_token
    assert await again.poll() is None
    assert await again.get_url() == f"{address_of(one)}/user/alice/i-spawned/"


async def test_a_hub_that_was_killed_before_the_pod_ran_waits_for_its_address(fleet: Fleet) -> None:
    spawner, again = fleet.spawner("i-killed"), fleet.spawner("i-killed")
    start = asyncio.create_task(fleet.start(spawner))
    await eventually(lambda: fleet.seen("i-killed"))
    start.cancel()
    again.load_state(spawner.orm_spawner.state)
    assert await again.poll() is None
    assert (await again.get_url()).startswith("http://10.")
    pod = await fleet.seen("i-killed")
    assert pod and variables_of(pod)["JUPYTERHUB_API_TOKEN"] == again.api_token
    await fleet.end(again)


async def test_a_pod_that_is_there_is_adopted_with_its_token(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    uid = await fleet.uid("i-spawned")
    again = fleet.spawner("i-spawned")
    assert again.api_token != one.api_token
    assert await fleet.start(again) == address_of(one)
    assert await fleet.uid("i-spawned") == uid
    assert again.api_token == one.api_token


async def test_a_pod_that_is_over_is_replaced(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-replaced", delete_stopped_pods=False)
    await _end(await fleet.start(spawner, fleet.pod("i-replaced", command=_ends_with(0))))
    await eventually(lambda: _phase(fleet, "i-replaced", "Succeeded"))
    uid = await fleet.uid("i-replaced")
    await fleet.start(spawner)
    assert await fleet.uid("i-replaced") != uid
    await fleet.end(spawner)


async def _phase(fleet: Fleet, name: str, phase: str) -> bool:
    pod = await fleet.seen(name)
    return bool(pod and pod["status"].get("phase") == phase)


async def test_a_pod_of_somebody_elses_is_neither_adopted_nor_deleted(fleet: Fleet) -> None:
    foreign = copy.deepcopy(fleet.pod("i-foreign", user="mallory"))
    await fleet.cluster.create(path_of(fleet.namespace, "pods"), foreign)
    uid = await fleet.uid("i-foreign")
    with pytest.raises(SpawnException, match="not the one"):
        await fleet.start(fleet.spawner("i-foreign"))
    assert await fleet.uid("i-foreign") == uid
    await fleet.end(fleet.spawner("i-foreign"))


async def test_a_stop_leaves_the_pod_and_its_token_while_the_platform_wants_the_server(
    fleet: Fleet, one: MlplatKubeSpawner
) -> None:
    uid = await fleet.uid("i-spawned")
    await one.stop()
    await one.stop(now=True)
    assert await fleet.uid("i-spawned") == uid
    assert one.leaves_server, "its token is not revoked"


async def test_a_stop_leaves_the_pod_while_the_platform_does_not_answer(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    uid = await fleet.uid("i-spawned")
    fleet.platform.wanted.discard("i-spawned")
    await fleet.spawner("i-spawned", platform_url="http://127.0.0.1:9").stop()
    assert await fleet.uid("i-spawned") == uid
    fleet.platform.wanted.add("i-spawned")


async def test_an_address_that_changed_is_noticed(fleet: Fleet, one: MlplatKubeSpawner) -> None:
    again = fleet.spawner("i-spawned")
    url = await fleet.start(again)
    again.server.ip, again.server.port = "10.255.255.9", 1
    assert await again.poll() is None
    assert address_of(again) == url


async def test_claims_are_left_alone_when_a_server_is_deleted_for_ever(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-claims")
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = path_of(fleet.namespace, "persistentvolumeclaims")
    for name in ("work-i-claims", spawner.pvc_name):
        await fleet.cluster.create(claims, {"metadata": {"name": name}, "spec": {**asked, "storageClassName": "none"}})
    await spawner.delete_forever()
    left = [claim["metadata"]["name"] for claim in (await fleet.cluster.get(claims))["items"]]
    assert sorted(left) == sorted(["work-i-claims", spawner.pvc_name])


async def test_the_pod_is_the_platforms_with_the_hubs_variables_and_nothing_else(fleet: Fleet) -> None:
    spawner = fleet.spawner("i-manifest", image="evil", privileged=True, extra_labels={"evil": "yes"}, cmd=["evil"])
    platforms = fleet.pod("i-manifest")
    spawner.user_options = {"profile": "evil", "image": "evil"}
    with pytest.raises(SpawnException, match="permit"):
        await spawner.get_pod_manifest()
    spawner.manifest = platforms
    built = await spawner.get_pod_manifest()
    assert "evil" not in str(built)
    variables = variables_of(built)
    assert variables["JUPYTERHUB_API_TOKEN"] == spawner.api_token
    assert variables["MLPLAT_INSTANCE_ID"] == "i-manifest"
    built["spec"]["containers"][0].pop("env")
    platforms["spec"]["containers"][0].pop("env")
    assert built == platforms


async def test_a_refusal_of_the_cluster_is_told_in_its_words(fleet: Fleet) -> None:
    pod = fleet.pod("i-refused")
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(SpawnException, match="violates PodSecurity"):
        await fleet.start(fleet.spawner("i-refused"), pod)
    assert await fleet.seen("i-refused") is None
