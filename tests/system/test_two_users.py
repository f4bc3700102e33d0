"""Two people on one platform: neither reaches what is the other's, by any door."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from jupyter_mlplat.errors import MlplatError, NotAllowed, NotAuthenticated, NotFound
from jupyter_mlplat.images.models import Image
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.models import Job
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform, until

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def alices_image(alice: Client, alices_instance: Instance) -> Image:
    image = alice.instances.save_image(alices_instance.id, "alices-image", "1")
    return alice.images.wait(image.id)


@pytest.fixture(scope="module")
def alices_job(alice: Client, tmp_path_factory: pytest.TempPathFactory) -> Job:
    script = tmp_path_factory.mktemp("job") / "secret.py"
    script.write_text("print('the secret of alice')\n")
    job = alice.jobs.submit(script)
    return alice.jobs.wait(job.id)


@pytest.fixture(scope="module")
def stolen(platform: RunningPlatform, bob: Client) -> Iterator[Client]:
    """The token of an instance of bob's, as a cell of a shared notebook could send it away."""
    instance = bob.instances.wait(bob.instances.create("bobs", flavor="cpu.1u2g").id)
    with Client(f"{platform.url}/services/mlplat", platform.instance_token(instance), "bob") as client:
        yield client


@pytest.mark.parametrize("verb", ["get", "start", "stop", "delete", "flavors", "events"])
def test_another_users_instance_is_not_there(bob: Client, alices_instance: Instance, verb: str) -> None:
    with pytest.raises(NotFound):
        getattr(bob.instances, verb)(alices_instance.id)


def test_another_users_instance_can_neither_be_switched_nor_saved(bob: Client, alices_instance: Instance) -> None:
    with pytest.raises(NotFound):
        bob.instances.switch(alices_instance.id, flavor="cpu.2u4g")
    with pytest.raises(NotFound):
        bob.instances.save_image(alices_instance.id, "mine", "1")


def test_lists_hold_ones_own(bob: Client, alices_instance: Instance, alices_image: Image, alices_job: Job) -> None:
    assert alices_instance.id not in {instance.id for instance in bob.instances.list()}
    assert alices_image.id not in {image.id for image in bob.images.list()}
    assert alices_job.id not in {job.id for job in bob.jobs.list()}


def test_another_users_image_is_not_there(bob: Client, alices_image: Image) -> None:
    for refused in (bob.images.get, bob.images.delete):
        with pytest.raises(NotFound):
            refused(alices_image.id)
    with pytest.raises(MlplatError):
        bob.instances.create("thief", image=alices_image.id)


def test_another_users_job_is_not_there(bob: Client, alices_job: Job) -> None:
    jobs = bob.jobs
    for refused in (jobs.get, jobs.stop, jobs.rerun, jobs.delete, jobs.events, jobs.metrics, jobs.files):
        with pytest.raises(NotFound):
            refused(alices_job.id)
    with pytest.raises(NotFound):
        list(bob.jobs.logs(alices_job.id))


def test_another_users_bundle_cannot_be_run(bob: Client, alices_job: Job) -> None:
    body = {"name": "thief", "bundle": alices_job.bundle, "entry": alices_job.entry}
    with pytest.raises(NotFound):
        bob._wire.call("POST", "/jobs", Job, json=body)


def test_another_users_objects_are_not_seen(
    alice: Client, bob: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("object") / "secret.txt"
    secret.write_text("alice")
    alice.storage.upload(secret, "obs://data/secret.txt")
    assert list(bob.storage.list("obs://data/", recursive=True)) == []
    with pytest.raises(NotFound):
        bob.storage.stat("obs://data/secret.txt")
    with pytest.raises(MlplatError):
        bob.storage.stat("obs://data/../../alice/data/secret.txt")


@pytest.mark.parametrize("path", ["api/kernels", "api/contents", "lab", "mlplat/instance", "mlplat/v1/me"])
def test_another_users_server_is_closed(
    platform: RunningPlatform, bob: Client, alices_instance: Instance, path: str
) -> None:
    answer = httpx.get(
        f"{platform.url}/user/alice/{alices_instance.id}/{path}",
        headers={"Authorization": f"token {bob.profile.token}"},
    )
    assert answer.status_code in (302, 401, 403, 404)
    with platform.browser_session("bob") as session:
        assert session.get(f"/user/alice/{alices_instance.id}/{path}").status_code in (401, 403, 404)


@pytest.mark.parametrize("server", ["", "x", "{own}"])
def test_nobody_starts_a_server_around_the_platform(
    platform: RunningPlatform, alice: Client, alices_instance: Instance, server: str
) -> None:
    server = server.format(own=alices_instance.id)
    headers = {"Authorization": f"token {alice.profile.token}"}
    path = f"{platform.url}/hub/api/users/alice/" + (f"servers/{server}" if server else "server")
    assert httpx.post(path, headers=headers, json={"permit": "0" * 32}).status_code in (403, 404)
    with platform.browser_session("alice") as session:
        assert session.get("/hub/spawn").status_code == 403
        assert session.get(f"/hub/spawn/alice/{server}" if server else "/hub/spawn/alice").status_code == 403


def test_a_stolen_instance_token_reaches_its_instance_only(stolen: Client, alices_instance: Instance) -> None:
    (own,) = [instance for instance in stolen.instances.list() if instance.name == "bobs"]
    assert stolen.instances.get(own.id).name == "bobs"
    with pytest.raises(NotFound):
        stolen.instances.get(alices_instance.id)
    with pytest.raises(NotAllowed):
        stolen.instances.create("more")
    with pytest.raises(NotAllowed):
        stolen.instances.delete(own.id)


def test_a_stolen_instance_token_is_nothing_to_the_hub(platform: RunningPlatform, stolen: Client) -> None:
    headers = {"Authorization": f"token {stolen.profile.token}"}
    calls = [
        ("POST", "/hub/api/users/bob/tokens"),
        ("POST", "/hub/api/users/bob/servers/x"),
        ("POST", "/hub/api/users/carol"),
        ("GET", "/hub/api/users"),
        ("POST", "/hub/api/shutdown"),
    ]
    for method, path in calls:
        assert httpx.request(method, platform.url + path, headers=headers, json={}).status_code in (403, 404), path


def test_the_token_of_an_instance_ends_with_its_server(platform: RunningPlatform, bob: Client) -> None:
    instance = bob.instances.wait(bob.instances.create("brief", flavor="cpu.1u2g").id)
    token = platform.instance_token(instance)
    with Client(f"{platform.url}/services/mlplat", token, "bob") as client:
        assert client.instances.get(instance.id).name == "brief"
        bob.instances.wait(bob.instances.stop(instance.id).id)
        until(lambda: refused(client.me), "the platform knows the token no longer")
        assert httpx.get(f"{platform.url}/hub/api/user", headers={"Authorization": f"token {token}"}).status_code == 403


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except NotAuthenticated:
        return True
    return False


def test_the_platforms_inner_door_takes_no_users_token(
    platform: RunningPlatform, alice: Client, stolen: Client
) -> None:
    path = f"{platform.url}/services/mlplat/v1/internal/permits/{'0' * 32}/redeem"
    for scheme in (f"token {alice.profile.token}", f"hub {alice.profile.token}", f"hub {stolen.profile.token}", ""):
        assert httpx.post(path, headers={"Authorization": scheme}).status_code == 401


def test_what_was_refused_is_in_the_audit(platform: RunningPlatform, bob: Client, alices_instance: Instance) -> None:
    with pytest.raises(NotFound):
        bob.instances.stop(alices_instance.id)
    records = platform.owner.audit.list(actor="bob", action="instance:stop")
    assert records[0].result == "refused"
    assert records[0].resource_id == alices_instance.id
    assert all(record.actor == "bob" for record in bob.audit.list())
