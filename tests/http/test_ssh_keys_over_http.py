"""SSH over HTTP: keys, the console's page of them, and the door that is the gateway's alone."""

from collections.abc import Iterator

import httpx
import pytest
from console_over_http import TLS
from platform_over_http import PREFIX

from jupyter_mlplat.gateway.host_keys import new_pair


@pytest.fixture(scope="module")
def api(console_address: str) -> Iterator[httpx.Client]:
    """The API, as the administrator."""
    headers = {"Authorization": "token admin-token"}
    with httpx.Client(base_url=f"{console_address}{PREFIX}/v1", headers=headers, verify=TLS) as client:
        yield client


def test_a_key_comes_and_goes(api: httpx.Client) -> None:
    added = api.post("/ssh/keys", json={"key": f"{new_pair()[1]} laptop"})
    assert added.status_code == 201
    key = added.json()
    assert (key["comment"], key["type"], key["last_used_at"]) == ("laptop", "ssh-ed25519", None)
    assert key["id"] in {one["id"] for one in api.get("/ssh/keys").json()}
    assert api.delete(f"/ssh/keys/{key['id']}").status_code == 204
    assert api.delete(f"/ssh/keys/{key['id']}").status_code == 404


def test_what_is_no_key_is_a_mistake_of_the_caller(api: httpx.Client) -> None:
    for text in ("", "-----BEGIN OPENSSH PRIVATE KEY-----", "x" * 100_000, f"command=id {new_pair()[1]}"):
        answer = api.post("/ssh/keys", json={"key": text})
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error_msg"]


@pytest.mark.parametrize("of", ["addresses", "keys"])
def test_a_list_without_end_is_refused(api: httpx.Client, of: str) -> None:
    answer = api.put(f"/instances/i-one/ssh/{of}", content=b'["' + b"x" * 3 * 1024**2 + b'"]')
    assert (answer.status_code, answer.json()["error_code"]) == (413, "MLPLAT.TOO_LARGE")


def test_an_instances_token_reads_keys_and_adds_none(api: httpx.Client) -> None:
    token = {"Authorization": "token server:admin/i-one"}
    assert api.get("/ssh/keys", headers=token).status_code == 200
    assert api.post("/ssh/keys", json={"key": new_pair()[1]}, headers=token).status_code == 403
    assert api.post("/ssh/pairs", json={}, headers=token).status_code == 403


def test_where_there_is_no_gateway_it_is_said(api: httpx.Client) -> None:
    assert "no SSH gateway" in api.get("/ssh/gateway").json()["absent"]
    made = api.post("/instances", json={"name": "no-ssh"}).json()
    for answer in (
        api.get(f"/instances/{made['id']}/ssh"),
        api.put(f"/instances/{made['id']}/ssh/addresses", json={"addresses": []}),
    ):
        assert answer.status_code == 409
        assert "no SSH gateway" in answer.json()["error_msg"]


@pytest.mark.parametrize("secret", ["", "token admin-token", "gateway", "gateway wrong", "Bearer secret of the Hub"])
def test_only_the_gateway_asks_who_may_come_in(api: httpx.Client, secret: str) -> None:
    for question in ("keys?login=one.alice&fingerprint=SHA256:x", "connections?instance=i-1&key=k-1&visit=1-1"):
        headers = {"Authorization": secret}
        assert api.post(f"/internal/ssh/{question}", headers=headers).status_code == 401


def test_the_page_of_keys_shows_them(console_address: str, alice: httpx.Client) -> None:
    assert "You have no SSH key here yet" in alice.get(f"{PREFIX}/keys").text
    with httpx.Client(base_url=f"{console_address}{PREFIX}/v1", verify=TLS) as client:
        client.headers["Authorization"] = "token alice-token"
        key = client.post("/ssh/keys", json={"key": new_pair()[1], "comment": "<b>laptop</b>"}).json()
    page = alice.get(f"{PREFIX}/keys").text
    assert key["fingerprint"] in page
    assert "&lt;b&gt;laptop" in page
    assert "<b>laptop" not in page
    assert "no SSH gateway" in page
    assert alice.get(f"{PREFIX}/keys/{key['id']}/remove").status_code == 200


def test_another_users_key_has_no_page(bob: httpx.Client) -> None:
    assert bob.get(f"{PREFIX}/keys/k-nobodys/remove").status_code == 404
