"""Where the CLI and the SDK go, and as whom."""

import json
from pathlib import Path

import pytest

from jupyter_mlplat.sdk import NoProfile, Profile, load_profile

FILED, OTHER = "filed", "other"


def write(path: Path, **fields: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    write(tmp_path / "mlplat" / "profile.json", url="http://127.0.0.1:9000/services/mlplat", token=FILED, user="bob")
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_the_profile_file_is_used_where_nothing_else_is_set(config: dict[str, str]) -> None:
    profile = load_profile(config)
    assert profile.api == "http://127.0.0.1:9000/services/mlplat/v1"
    assert (profile.token, profile.user, profile.origin) == (FILED, "bob", "http://127.0.0.1:9000")


def test_the_variables_come_before_the_file(config: dict[str, str]) -> None:
    profile = load_profile({**config, "MLPLAT_URL": "https://ml.example.org/services/mlplat/", "MLPLAT_TOKEN": "t"})
    assert (profile.api, profile.token) == ("https://ml.example.org/services/mlplat/v1", "t")


def test_an_instance_speaks_with_its_own_token_although_the_owners_profile_is_in_reach(config: dict[str, str]) -> None:
    profile = load_profile(
        {
            **config,
            "MLPLAT_API": "http://127.0.0.1:8011/services/mlplat/v1",
            "JUPYTERHUB_API_TOKEN": "own",
            "JUPYTERHUB_USER": "alice",
            "MLPLAT_INSTANCE_ID": "i-1",
            "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:4000/user/alice/i-1/",
        }
    )
    assert (profile.token, profile.user, profile.instance_id) == ("own", "alice", "i-1")
    assert profile.server == "http://127.0.0.1:4000/user/alice/i-1"


def test_in_a_terminal_of_an_instance_the_token_lies_beside_its_runtime(config: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("own\n")
    runtime = str(tmp_path / "runtime.json")
    environ = {
        **config,
        "MLPLAT_API": "http://127.0.0.1:8011/v1",
        "MLPLAT_INSTANCE_ID": "i-1",
        "MLPLAT_RUNTIME": runtime,
    }
    assert (load_profile(environ).token, load_profile(environ).instance_id) == ("own", "i-1")
    (tmp_path / "token").unlink()
    with pytest.raises(NoProfile, match="Restart the instance"):
        load_profile(environ)


def test_a_data_folder_that_is_named_brings_its_own_profile(config: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "data" / "profile.json", url="http://127.0.0.1:1/services/mlplat", token=OTHER)
    assert load_profile({**config, "MLPLAT_DATA_DIR": str(tmp_path / "data")}).token == OTHER


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/services/mlplat/v1"])
def test_the_address_may_be_written_in_several_ways(url: str) -> None:
    assert Profile.of(url, "t").api == "http://h:1/services/mlplat/v1"


def test_the_proxys_base_path_is_kept() -> None:
    profile = Profile.of("http://h:1/hub-one/services/mlplat", "t")
    assert (profile.api, profile.origin) == ("http://h:1/hub-one/services/mlplat/v1", "http://h:1/hub-one")


def test_no_profile_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoProfile, match="mlplat up"):
        load_profile({"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize("content", ["", "{", '{"url": "http://h"}', "[]"])
def test_a_damaged_profile_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mlplat" / "profile.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(NoProfile, match=r"profile\.json"):
        load_profile({"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("environ", "words"),
    [({"MLPLAT_URL": "http://h"}, "MLPLAT_TOKEN"), ({"MLPLAT_URL": "h:8000", "MLPLAT_TOKEN": "t"}, "is no address")],
)
def test_half_a_setting_is_refused_in_words(environ: dict[str, str], words: str) -> None:
    with pytest.raises(NoProfile, match=words):
        load_profile(environ)


def test_the_token_is_not_shown_with_the_profile() -> None:
    assert "secret" not in repr(Profile.of("http://h", "secret"))
