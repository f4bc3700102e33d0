from jupyter_mlplat.storage.engine.connection import connection
from jupyter_mlplat.storage.engine.s3_exact import ExactClient
from jupyter_mlplat.storage.engine.sessions import session
from jupyter_mlplat.storage.object_urls import ObjectUrl


def test_what_is_in_files_is_read_once() -> None:
    one, other = session(), session()
    assert one.get_component("data_loader") is other.get_component("data_loader")
    assert one.get_component("response_parser_factory") is not other.get_component("response_parser_factory")


def test_each_endpoint_has_its_own_keys_and_address() -> None:
    clients = [ExactClient(connection(name, "secret", f"http://{name}.example")) for name in ("ours", "theirs")]
    ours, theirs = (client.link(ObjectUrl("b", "k"), 60) for client in clients)
    assert ours.startswith("http://ours.example/b/k?")
    assert "X-Amz-Credential=ours%2F" in ours
    assert theirs.startswith("http://theirs.example/b/k?")
    assert "X-Amz-Credential=theirs%2F" in theirs
