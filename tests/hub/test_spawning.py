"""Servers: who may start them, what they survive, what is left when they end. Everything is real but the platform."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from embedded_stage import Stage, eventually, staged

from jupyter_mlplat.core.processes import alive, command_of, environment_of, identify
from jupyter_mlplat.hub.logins import Logins

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("spawning") / "data") as stage:
        stage.up()
        yield stage


@pytest.fixture(scope="module")
def owner(stage: Stage) -> str:
    return stage.status.user


@pytest.fixture
def server(stage: Stage, owner: str) -> Iterator[str]:
    """A running server of the owner's."""
    assert stage.start(owner, "i-one").status_code == 201
    yield "i-one"
    stage.stop(owner, "i-one")


def test_the_printed_address_logs_in_and_leads_to_the_console(stage: Stage) -> None:
    answer = httpx.get(stage.status.login_url)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/services/mlplat/"
    assert "jupyterhub-session-id" in answer.cookies


def test_a_wrong_token_is_refused_in_words(stage: Stage) -> None:
    answer = httpx.get(f"{stage.url}/hub/login?token=wrong")
    assert answer.status_code == 403
    assert "mlplat status" in answer.text


def test_a_token_can_be_pasted(stage: Stage) -> None:
    with httpx.Client(base_url=stage.url) as client:
        form = client.get("/hub/login").text
        found = re.search(r'name="_xsrf" value="([^"]+)"', form)
        assert found
        token = (stage.data / "secrets" / "owner_token").read_text()
        answer = client.post("/hub/login", data={"_xsrf": found[1], "token": token})
        assert answer.headers["Location"] == "/services/mlplat/"


def test_a_login_does_not_lead_to_another_site(stage: Stage) -> None:
    answer = httpx.get(f"{stage.status.login_url}&next=https://example.org/")
    assert answer.headers["Location"] == "/services/mlplat/"


def test_a_removed_user_can_no_longer_log_in(stage: Stage) -> None:
    logins = Logins(stage.data / "secrets" / "logins.json")
    token = logins.add("carol")
    assert httpx.get(f"{stage.url}/hub/login?token={token}").status_code == 302
    logins.remove("carol")
    assert httpx.get(f"{stage.url}/hub/login?token={token}").status_code == 403


def test_the_pages_of_the_hub_lead_to_the_console(stage: Stage, owner: str) -> None:
    with stage.browser() as browser:
        spawn = browser.get(f"/hub/spawn/{owner}/i-other")
        assert spawn.status_code == 403
        home = browser.get("/hub/home")
        stopped = browser.get(f"/hub/user/{owner}/i-other/lab")
        assert stopped.status_code >= 400
    for page in (spawn, home, stopped):
        assert 'href="/services/mlplat/"' in page.text
        assert "spawn_url" not in page.text


def test_a_user_cannot_start_or_stop_servers_or_make_tokens(stage: Stage, owner: str, server: str) -> None:
    permit = stage.permit(owner, "i-behind")
    profile = re.search(r'"token": "(\w+)"', (stage.data / "profile.json").read_text())
    assert profile
    for token in (profile[1], stage.server_token(server)):
        for name in ("servers/i-behind", "server"):
            answer = stage.hub("POST", f"/users/{owner}/{name}", token, json={"permit": permit})
            assert answer.status_code in (403, 404)
        assert stage.hub("DELETE", f"/users/{owner}/servers/{server}", token).status_code in (403, 404)
        assert stage.hub("POST", f"/users/{owner}/tokens", token, json={}).status_code in (403, 404)
    assert stage.server(owner, "i-behind") is None


def test_a_logged_in_browser_cannot_start_servers(stage: Stage, owner: str) -> None:
    with stage.browser() as browser:
        browser.get("/hub/home")
        path = f"/hub/api/users/{owner}/servers/i-behind"
        headers = {"X-XSRFToken": browser.cookies.get("_xsrf", path="/hub/") or "", "Sec-Fetch-Site": "same-origin"}
        answer = browser.post(path, headers=headers, json={"permit": stage.permit(owner, "i-behind")})
    assert answer.status_code in (403, 404)
    assert stage.server(owner, "i-behind") is None


@pytest.mark.parametrize("options", [None, {}, {"permit": "unknown"}, {"permit": "../../me"}, {"permit": 7}])
def test_a_start_without_a_valid_permit_is_refused(stage: Stage, owner: str, options: object) -> None:
    answer = stage.hub("POST", f"/users/{owner}/servers/i-refused", json=options)
    assert answer.status_code == 403
    assert "mlplat instance start" in answer.json()["message"]
    assert not (stage.data / "instances" / "i-refused").exists()


def test_a_permit_is_good_for_one_start_of_one_server(stage: Stage, owner: str) -> None:
    other = stage.permit(owner, "i-other")
    assert stage.hub("POST", f"/users/{owner}/servers/i-one", json={"permit": other}).status_code == 403
    stage.hub("POST", "/users/bob")
    foreign = stage.permit("bob", "i-one")
    assert stage.hub("POST", f"/users/{owner}/servers/i-one", json={"permit": foreign}).status_code == 403
    assert stage.start(owner, "i-one").status_code == 201
    stage.stop(owner, "i-one")
    assert stage.hub("POST", f"/users/{owner}/servers/i-one").status_code == 403


def test_a_server_is_forked_with_its_own_session_environment_and_cpus(stage: Stage, owner: str) -> None:
    cpu = min(os.sched_getaffinity(0))
    stage.start(owner, "i-forked", cpus=[cpu], environment={"MLPLAT_CONSOLE": "/services/mlplat/"})
    process = stage.process("i-forked")
    shown = environment_of(process.pid)
    assert command_of(process.pid) == command_of(stage.part("nursery").pid)
    assert os.getsid(process.pid) == process.pid
    assert os.sched_getaffinity(process.pid) == {cpu}
    assert Path(f"/proc/{process.pid}/cwd").readlink() == stage.data / "instances" / "i-forked" / "work"
    assert shown["MLPLAT_INSTANCE_ID"] == "i-forked"
    assert shown["MLPLAT_CONSOLE"] == "/services/mlplat/"
    assert stage.reachable(owner, "i-forked")
    stage.stop(owner, "i-forked")
    assert not alive(process)


def test_lab_opens_for_its_owner_and_for_nobody_else(stage: Stage, owner: str, server: str) -> None:
    path = f"/user/{owner}/{server}/lab"
    with stage.browser() as browser:
        page = browser.get(path, follow_redirects=True)
        assert page.status_code == 200
        assert "jupyter-config-data" in page.text
    bob = Logins(stage.data / "secrets" / "logins.json").add("bob")
    with httpx.Client(base_url=stage.url) as browser:
        browser.get(f"/hub/login?token={bob}")
        assert browser.get(path, follow_redirects=True).status_code == 403


def test_a_server_survives_the_death_of_the_hub(stage: Stage, owner: str, server: str) -> None:
    process, token = stage.process(server), stage.server_token(server)
    assert stage.hub("GET", "/user", token).status_code == 200
    killed = stage.kill("hub")
    assert stage.reachable(owner, server)
    eventually(lambda: stage.restarted("hub", killed))
    eventually(lambda: (stage.server(owner, server) or {}).get("ready"))
    assert alive(process)
    assert stage.reachable(owner, server)
    assert stage.stop(owner, server).status_code == 204
    assert not alive(process)
    assert stage.hub("GET", "/user", token).status_code == 403


def test_a_hub_killed_in_the_middle_of_a_start_leaves_one_server_or_none(stage: Stage, owner: str) -> None:
    record = stage.data / "instances" / "i-middle" / "server.json"
    with ThreadPoolExecutor(1) as threads:
        start = threads.submit(stage.start, owner, "i-middle")
        eventually(record.exists)
        killed = stage.kill("hub")
        with suppress(httpx.HTTPError):
            start.result()
    first = stage.process("i-middle")
    eventually(lambda: stage.restarted("hub", killed))

    def ready() -> bool:
        known = stage.server(owner, "i-middle") or {}
        return bool(known.get("ready")) or stage.start(owner, "i-middle").status_code == 201

    eventually(ready)
    assert stage.process("i-middle") == first or not alive(first)
    assert stage.reachable(owner, "i-middle")
    assert stage.status.instances == ("i-middle",)
    assert stage.stop(owner, "i-middle").status_code == 204
    assert stage.status.instances == ()


def test_a_server_survives_the_death_of_the_nursery(stage: Stage, owner: str, server: str) -> None:
    killed = stage.kill("nursery")
    assert stage.start(owner, "i-cold").status_code == 201, "without the nursery a server is an ordinary process"
    assert "jupyter_mlplat.hub.server" in command_of(stage.process("i-cold").pid)
    assert stage.reachable(owner, server)
    eventually(lambda: stage.restarted("nursery", killed))
    assert stage.server(owner, server)
    assert stage.stop(owner, server).status_code == 204
    assert stage.stop(owner, "i-cold").status_code == 204


def test_routes_are_back_after_the_death_of_the_proxy(stage: Stage, owner: str, server: str) -> None:
    killed = stage.kill("proxy")
    eventually(lambda: stage.restarted("proxy", killed))
    eventually(lambda: stage.reachable(owner, server))


def test_the_hub_learns_of_the_death_of_a_server(stage: Stage, owner: str, server: str) -> None:
    os.kill(stage.process(server).pid, signal.SIGKILL)
    eventually(lambda: stage.server(owner, server) is None)
    record = (stage.data / "instances" / server / "server.json").read_text()
    assert '"exit_code": -9' in record


def test_a_stop_ends_all_that_was_started_in_the_instance(stage: Stage, owner: str, server: str) -> None:
    environment = {"PATH": os.environ["PATH"], "MLPLAT_INSTANCE_ID": server}
    stubborn = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done"],
        env=environment, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert stubborn.stdout and stubborn.stdout.readline() == b"up\n"
    with stubborn:
        stage.stop(owner, server)
        assert stubborn.wait(5) == -signal.SIGKILL


def test_what_a_killed_hub_left_is_ended_at_the_next_start(stage: Stage, owner: str) -> None:
    left = subprocess.Popen(["sleep", "1000"], env={"MLPLAT_INSTANCE_ID": "i-left"}, start_new_session=True)
    with left:
        stage.start(owner, "i-left")
        assert left.wait(5) == -signal.SIGTERM
    stage.stop(owner, "i-left")


def test_a_server_that_cannot_start_is_explained_with_its_log(stage: Stage, owner: str) -> None:
    config = stage.data / "instances" / "i-broken" / "lab" / "config"
    config.mkdir(parents=True)
    (config / "jupyter_server_config.py").write_text("raise SystemExit('no tea')")
    answer = stage.start(owner, "i-broken")
    assert answer.status_code == 500
    assert "server.log" in answer.json()["message"]
    assert identify(stage.process("i-broken").pid) is None
