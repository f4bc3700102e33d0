"""Secrets at rest: sealed, opened by older keys, sealed anew by the newest."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from jupyter_mlplat.core.settings import Settings
from jupyter_mlplat.errors import BackendFailure
from jupyter_mlplat.storage.vault import Vault, vault_of

OLD, NEW = "an old key of the platform", "a new key of the platform"


def vault(*keys: str) -> Vault:
    return Vault(lambda: list(keys))


def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    sealed = vault(OLD).seal("hush")
    assert "hush" not in sealed
    assert vault(OLD).seal("hush") != sealed
    assert vault(OLD).open(sealed) == "hush"


def test_an_older_key_still_opens_and_the_newest_seals() -> None:
    sealed = vault(OLD).seal("hush")
    both = vault(NEW, OLD)
    assert both.open(sealed) == "hush"
    assert (both.is_new(sealed), both.is_new(both.seal("hush"))) == (False, True)
    assert vault(NEW).open(both.seal("hush")) == "hush"


def test_a_key_that_is_gone_is_said() -> None:
    with pytest.raises(BackendFailure, match="Rotate its keys"):
        vault(NEW).open(vault(OLD).seal("hush"))


@pytest.mark.parametrize("keys", [[], ["short"], [OLD, "short"]])
def test_keys_that_protect_nothing_are_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        vault(*keys).seal("hush")


def test_without_a_setting_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    sealed = vault_of(settings).seal("hush")
    assert vault_of(settings).open(sealed) == "hush"
    (made,) = (tmp_path / "secrets").iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


def test_the_setting_comes_first_and_is_not_shown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, storage_keys=SecretStr(f"{NEW}, {OLD}"))
    assert vault_of(settings).open(vault(OLD).seal("hush")) == "hush"
    assert OLD not in repr(settings)
    assert not (tmp_path / "secrets").exists()
