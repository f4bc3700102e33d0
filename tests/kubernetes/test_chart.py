"""The chart: what it refuses, what it installs, what its parts may and may not do, and what an upgrade keeps."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kubectl import CommandFailed, Json, Kubectl, Question, command
from release import ADMIN, CHART, NAME, Images, Release, values

from jupyter_mlplat.instances.models import Instance, Status
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import until

VERSION = "--kube-version=1.35.0"
NO_WORD = "agent.image.name=,agent.image.digest="
"""As values are where nothing is said about the image of the agent."""


@pytest.fixture(scope="session")
def value_file(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Values as for an installation, of images that nobody pulls."""
    platform, agent = (f"registry.example/{name}@sha256:{'0' * 64}" for name in ("platform", "node-agent"))
    names = Images(platform, agent, "registry.example/python:1", "registry.example/pg:1")
    file = tmp_path_factory.mktemp("values") / "values.json"
    file.write_text(json.dumps(values(kubectl, names, "test", "http://192.0.2.1:30080", 30022, {"alice": "token"})))
    return file


def rendered(value_file: Path, *words: str) -> list[Json]:
    """The objects that the chart makes."""
    text = command("helm", "template", NAME, str(CHART), VERSION, "--values", str(value_file), *words)
    return [one for one in yaml.safe_load_all(text) if one]


def test_the_chart_has_no_faults(value_file: Path) -> None:
    command("helm", "lint", str(CHART), "--strict", "--values", str(value_file))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("platform.replica=3", "'replica' not allowed"),
        ("platform.replicas=0", "/platform/replicas"),
        ("users.workAccessMode=Sometimes", "/users/workAccessMode"),
        ("image.digest=latest", "/image/digest"),
        ("platform.settings.PATH=/", "propertyName .PATH"),
        ("ingress.enabled=true", "ingress.host"),
        ("registry.address=", "registry.address"),
        ("database.trial.enabled=false", "database.secret"),
        ("agent.image.digest=", "agent.image.digest"),
        ("agent.image.pullPolicy=Always", "'pullPolicy' not allowed"),
        ("builds.enabled=true", "builds.image"),
        ("builds.time=soon", "/builds/time"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(value_file: Path, value: str, words: str) -> None:
    with pytest.raises(CommandFailed, match=words):
        rendered(value_file, "--set", value)


@pytest.mark.parametrize(
    ("changes", "image"),
    [
        ("", "registry.example/node-agent@sha256:" + "0" * 64),
        (f"{NO_WORD},image.digest=", "registry.example/node-agent:0.1.0"),
        (f"{NO_WORD},image.tag=1.2", "registry.example/node-agent:1.2"),
        (f"{NO_WORD},image.name=other:5000/team/control,image.tag=1.2", "other:5000/team/node-agent:1.2"),
        ("agent.image.name=other/agent,agent.image.digest=,agent.image.tag=v3", "other/agent:v3"),
    ],
)
def test_the_agent_has_its_own_image_from_beside_the_other(value_file: Path, changes: str, image: str) -> None:
    objects = rendered(value_file, "--set", changes)
    agent = next(one for one in objects if one["kind"] == "DaemonSet")
    assert agent["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_an_ingress_has_tls(value_file: Path) -> None:
    switches = ["ingress.enabled=true", "ingress.host=lab.example", "ingress.tlsSecret=certificate"]
    objects = rendered(value_file, *[word for switch in switches for word in ("--set", switch)])
    ingress = next(one for one in objects if one["kind"] == "Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["lab.example"], "secretName": "certificate"}]


def test_builds_have_a_namespace_of_their_own(value_file: Path) -> None:
    switches = ["--set", "builds.enabled=true,builds.image=registry.example/builder:1"]
    made = {(one["kind"], one["metadata"]["name"]): one for one in rendered(value_file, *switches)}
    level = "pod-security.kubernetes.io/enforce"
    assert made["Namespace", "default-builds"]["metadata"]["labels"][level] == "baseline"
    assert made["Role", f"{NAME}-builds"]["metadata"]["namespace"] == "default-builds"
    loose = rendered(value_file, *switches, "--set", "builds.unconfined=true")
    labels = [one["metadata"]["labels"] for one in loose if one["metadata"]["name"] == "default-builds"]
    assert [each[level] for each in labels] == ["privileged"]
    assert ("Role", f"{NAME}-builds") not in {(one["kind"], one["metadata"]["name"]) for one in rendered(value_file)}


def test_what_people_need_outlives_the_release(value_file: Path) -> None:
    kept = {
        (one["kind"], one["metadata"]["name"])
        for one in rendered(value_file)
        if (one["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept >= {
        ("Namespace", "default-users"),
        ("PersistentVolumeClaim", "mlplat-data"),
        ("Secret", "mlplat"),
        ("Secret", "mlplat-database"),
    }


def test_a_job_may_have_several_nodes(value_file: Path) -> None:
    platform = next(
        one
        for one in rendered(value_file)
        if one["metadata"]["name"] == f"{NAME}-platform" and one["kind"] == "Deployment"
    )
    variables = {one["name"]: one.get("value") for one in platform["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert variables["MLPLAT_JOB_NODES"] == "8"


def test_no_secret_is_written_into_what_others_may_read(value_file: Path) -> None:
    objects = rendered(value_file)
    secrets = [value for one in objects if one["kind"] == "Secret" for value in one.get("stringData", {}).values()]
    open_text = json.dumps([one for one in objects if one["kind"] != "Secret"])
    assert secrets and not [value for value in secrets if value in open_text]


def test_every_part_runs(release: Release, kubectl: Kubectl) -> None:
    nodes = len([node for node in kubectl.json("get", "nodes")["items"] if not node["spec"].get("taints")])
    expected = {"hub": 1, "proxy": 1, "platform": 2, "database": 1, "gateway": 1, "agent": nodes, "mounter": nodes}
    assert {part: len(release.pods(part)) for part in expected} == expected
    assert len({pod["spec"]["nodeName"] for pod in release.pods("platform")}) == min(nodes, 2)


def test_network_policies_and_budgets_are_accepted(release: Release, kubectl: Kubectl) -> None:
    policies = kubectl.json("get", "networkpolicies", "-n", release.namespace)["items"]
    guarded = {one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in policies}
    assert guarded == {"hub", "proxy", "platform", "database", "gateway", "agent", "mounter"}
    assert len(kubectl.json("get", "networkpolicies", "-n", release.users)["items"]) == 2
    budgets = kubectl.json("get", "poddisruptionbudgets", "-n", release.namespace)["items"]
    assert {one["metadata"]["name"] for one in budgets} == {"mlplat-hub", "mlplat-platform", "mlplat-proxy"}


def test_only_what_runs_on_every_node_falls_short_of_restricted(release: Release, kubectl: Kubectl) -> None:
    words = ["label", "namespace", release.namespace, "pod-security.kubernetes.io/enforce=restricted"]
    warnings = [line for line in kubectl.warnings(*words, "--dry-run=server") if f"{NAME}-" in line]
    assert warnings and all("mlplat-agent" in line or "mlplat-mounter" in line for line in warnings)


def test_nothing_privileged_runs_beside_the_users(release: Release, kubectl: Kubectl) -> None:
    container = {"name": "root", "image": "any", "securityContext": {"privileged": True}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [container]}}
    with pytest.raises(CommandFailed, match="violates PodSecurity"):
        kubectl.run("create", "-n", release.users, "-f", "-", body=pod)


Right = tuple[str, str, str, str]

ALLOWED: list[Right] = [
    ("hub", "create", "pods", "users"),
    ("hub", "delete", "pods", "users"),
    ("platform", "patch", "pods/resize", "users"),
    ("platform", "create", "persistentvolumeclaims", "users"),
    ("platform", "create", "jobs.batch", "users"),
    ("platform", "create", "secrets", "users"),
    ("platform", "list", "nodes", "users"),
    ("platform", "list", "pods", "release"),
    ("platform", "create", "jobs.batch", "builds"),
    ("platform", "create", "secrets", "builds"),
]
DENIED: list[Right] = [
    *[(part, verb, what, where)
      for part in ("hub", "platform", "proxy", "agent", "gateway", "database")
      for verb, what, where in [
          ("get", "secrets", "release"), ("list", "secrets", "users"), ("create", "pods", "release"),
          ("create", "pods/exec", "users"), ("create", "pods/attach", "users"), ("create", "pods/portforward", "users"),
          ("patch", "nodes", "users"), ("get", "nodes/proxy", "users"), ("get", "secrets", "kube-system"),
          ("patch", "pods/ephemeralcontainers", "users"), ("create", "roles.rbac.authorization.k8s.io", "users"),
          ("create", "serviceaccounts/token", "users"), ("delete", "namespaces", "users"),
          ("patch", "deployments.apps", "release"), ("impersonate", "users", "users"),
      ]],
    *[(part, "list", "pods", "users") for part in ("proxy", "agent", "gateway", "database")],
    ("hub", "list", "pods", "release"),
    ("hub", "list", "nodes", "users"),
    ("hub", "create", "persistentvolumeclaims", "users"),
    ("hub", "delete", "persistentvolumeclaims", "users"),
    ("platform", "create", "pods", "users"),
    ("platform", "get", "secrets", "users"),
    ("platform", "get", "configmaps", "release"),
    ("platform", "list", "persistentvolumeclaims", "users"),
    ("platform", "delete", "pods", "release"),
    ("platform", "create", "pods", "builds"),
    ("platform", "get", "secrets", "builds"),
    ("hub", "list", "pods", "builds"),
    ("platform", "delete", "pods", "kube-system"),
]  # fmt: skip


def answers(kubectl: Kubectl, release: Release, table: list[Right]) -> dict[Right, bool]:
    """Which rights of a table are held."""
    places = {"users": release.users, "release": release.namespace, "builds": f"{release.namespace}-builds"}
    asked = [
        Question(f"{release.namespace}:{NAME}-{part}", verb, what, places.get(where, where))
        for part, verb, what, where in table
    ]
    return dict(zip(table, kubectl.may(asked), strict=True))


def test_every_part_may_do_its_work(release: Release, kubectl: Kubectl) -> None:
    assert [right for right, held in answers(kubectl, release, ALLOWED).items() if not held] == []


def test_no_part_may_more(release: Release, kubectl: Kubectl) -> None:
    assert [right for right, held in answers(kubectl, release, DENIED).items() if held] == []


@contextmanager
def api_as(kubectl: Kubectl, release: Release, part: str) -> Iterator[httpx.Client]:
    """The API server, spoken to with the token of a part's service account."""
    token = kubectl.run("create", "token", f"{NAME}-{part}", "-n", release.namespace).strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=kubectl.server, headers=headers, verify=False) as client:  # noqa: S501 its name is no matter here
        yield client


def test_the_token_of_a_part_opens_no_other_door(release: Release, kubectl: Kubectl) -> None:
    secret = f"/api/v1/namespaces/{release.namespace}/secrets/{NAME}"
    pods = f"/api/v1/namespaces/{release.users}/pods"
    for part in ("hub", "platform", "proxy", "agent", "gateway"):
        with api_as(kubectl, release, part) as client:
            assert client.get(secret).status_code == 403
            assert client.get(pods).status_code == (200 if part in ("hub", "platform") else 403)


def test_no_pod_but_hub_and_platform_has_a_token(release: Release) -> None:
    parts = dict.fromkeys(("hub", "platform"), True) | dict.fromkeys(("proxy", "agent", "gateway", "database"), False)
    for part, mounted in parts.items():
        volumes = [volume for pod in release.pods(part) for volume in pod["spec"]["volumes"]]
        assert any("projected" in volume for volume in volumes) == mounted, part


def test_doors_within_the_cluster_hold_without_network_policies(release: Release) -> None:
    assert httpx.get(f"http://{release.service('proxy-api')}:8001/api/routes").status_code == 403
    assert httpx.get(f"http://{release.service('hub')}:8081/hub/api/users").status_code == 403
    platform = f"http://{release.service('platform')}:8011/services/mlplat/v1"
    assert httpx.get(f"{platform}/instances").status_code == 401
    assert httpx.post(f"{platform}/internal/permits/any/redeem").status_code in (401, 403)
    agent = release.pods("agent")[0]["status"]["podIP"]
    assert httpx.post(f"http://{agent}:8012/v1/save", json={}).status_code in (401, 403)


def test_probes_are_not_reachable_from_outside(release: Release) -> None:
    assert "version" not in httpx.get(f"{release.url}/health", follow_redirects=True).text[:200]


class Watcher:
    """Reads the event stream as a page does: over and over, from the last event that it has seen."""

    def __init__(self, url: str, token: str, after: int) -> None:
        self.seen: list[int] = []
        self._after = after
        self._url, self._headers = f"{url}/services/mlplat/v1/events", {"Authorization": f"token {token}"}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                self._read()
            except httpx.HTTPError:
                self._over.wait(0.2)

    def _read(self) -> None:
        after = {"after": self.seen[-1] if self.seen else self._after}
        with httpx.stream("GET", self._url, params=after, headers=self._headers, timeout=30) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data:") and "resource_id" in line and '"id"' in line:
                    self.seen.append(json.loads(line.removeprefix("data:"))["id"])


class Caller:
    """Asks for the list of instances again and again, on new connections, and counts what is no answer."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.answers, self.failures = 0, list[str]()
        self._ask, self._over = ask, threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)

    def _work(self) -> None:
        while not self._over.wait(0.1):
            try:
                self._ask().raise_for_status()
                self.answers += 1
            except httpx.HTTPError as error:
                self.failures.append(str(error))


def test_an_upgrade_and_its_rollback_lose_nothing(release: Release, alice: Client, alices_instance: Instance) -> None:
    secrets = [release.secret(key) for key in ("cookie-secret", "hub-secret", "platform-token")]
    password = release.secret("password", f"{NAME}-database")
    headers = {"Authorization": f"token {alice.profile.token}"}
    address = f"{release.url}/services/mlplat/v1/instances"
    watcher = Watcher(release.url, alice.profile.token, after=alice.instances.events(alices_instance.id)[-1].id)
    caller = Caller(lambda: httpx.get(address, headers=headers, timeout=10))
    lab = release.lab(alice, alices_instance)
    with release.browser("alice") as browser, lab.kernel() as kernel:
        kernel.run("x = 41")
        browser.get("/services/mlplat/").raise_for_status()
        before = {pod["metadata"]["uid"] for pod in release.pods("platform")}
        settings = {**release.values["platform"], "instanceQuota": 7}
        release.upgrade(platform=settings)
        assert not before & {pod["metadata"]["uid"] for pod in release.pods("platform")}
        until(lambda: quota_of(alice) == 7, "every replica has the new quota")
        renamed = alice.instances.update(alices_instance.id, name="renamed")
        release.rollback()
        until(lambda: quota_of(alice) == 10, "every replica has the old quota again")
        caller.close()
        assert browser.get("/services/mlplat/", follow_redirects=False).status_code == 200
        assert lab.connect(kernel.id).run("print(x + 1)").strip() == "42"
    assert alice.instances.get(renamed.id).name == "renamed"
    assert (caller.failures, caller.answers > 20) == ([], True)
    last = alice.instances.events(alices_instance.id)[-1].id
    until(lambda: last in watcher.seen or None, f"event {last} is seen", seconds=120)
    watcher.close()
    assert watcher.seen == sorted(set(watcher.seen))
    assert secrets == [release.secret(key) for key in ("cookie-secret", "hub-secret", "platform-token")]
    assert password == release.secret("password", f"{NAME}-database")


def quota_of(client: Client) -> int:
    """How many instances the platform lets a user have."""
    return next(quota.limit for quota in client.quotas.list() if quota.noun == "instance")


def test_a_hub_that_is_replaced_keeps_servers_and_logins(
    release: Release, kubectl: Kubectl, alice: Client, alices_instance: Instance
) -> None:
    address = f"/user/alice/{alices_instance.id}/lab"
    with release.browser("alice") as browser:
        browser.get(address).raise_for_status()
        kubectl.run("rollout", "restart", "deployment/mlplat-hub", "-n", release.namespace)
        kubectl.run("rollout", "status", "deployment/mlplat-hub", "-n", release.namespace)
        until(lambda: browser.get(address, follow_redirects=False).status_code == 200, "Lab is served")
        until(lambda: httpx.get(f"{release.url}/hub/health").is_success, "the Hub is found through the proxy")
        assert browser.get("/hub/home", follow_redirects=False).headers.get("Location", "") != "/hub/login"
    assert alice.instances.get(alices_instance.id).status is Status.RUNNING


def test_an_administrator_is_one_by_the_values(release: Release) -> None:
    with release.client(ADMIN) as admin:
        assert admin.me().admin


def test_an_uninstall_keeps_what_people_have(release: Release, alice: Client, alices_instance: Instance) -> None:
    before, lab = release.secret("cookie-secret"), release.lab(alice, alices_instance)
    lab.put("kept.txt", b"still here")
    release.helm("uninstall", NAME, "--wait")
    release.upgrade()
    assert release.secret("cookie-secret") == before
    until(lambda: alice.instances.get(alices_instance.id).status is Status.RUNNING, "the instance is known and runs")
    until(lambda: lab.http.get("/files/kept.txt").text == "still here" or None, "its files are served")
