"""Login tokens: who they belong to, what is kept of them, which names can be users'."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlplat.errors import AlreadyExists, InvalidInput, NotFound
from jupyter_mlplat.hub.logins import Logins, check_name, login_url, name_like


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return Logins(tmp_path / "logins.json")


def test_a_token_belongs_to_its_user_until_that_is_removed(logins: Logins) -> None:
    alice, bob = logins.add("alice"), logins.add("bob")
    assert (logins.user_of(alice), logins.user_of(bob), logins.user_of("x")) == ("alice", "bob", None)
    assert logins.users() == ["alice", "bob"]
    logins.remove("alice")
    assert logins.user_of(alice) is None
    assert logins.users() == ["bob"]


def test_no_token_is_written_down(logins: Logins) -> None:
    token = logins.add("alice")
    assert token not in logins.path.read_text()
    assert logins.path.stat().st_mode & 0o777 == 0o600


def test_a_user_is_added_once(logins: Logins) -> None:
    token = logins.add("alice")
    with pytest.raises(AlreadyExists, match="alice"):
        logins.add("alice")
    assert logins.user_of(token) == "alice"


def test_a_new_token_takes_the_place_of_the_old(logins: Logins) -> None:
    old = logins.add("alice")
    logins.put("alice", "another")
    assert (logins.user_of(old), logins.user_of("another")) == (None, "alice")


def test_removing_nobody_says_who_there_is(logins: Logins) -> None:
    logins.add("alice")
    with pytest.raises(NotFound, match="alice"):
        logins.remove("bob")


@pytest.mark.parametrize("name", ["", "../x", "Alice", "a b", "ü", "😀", "-a", "a-", "a" * 65, "a/b", "a\n"])
def test_names_that_cannot_be_users_are_refused(logins: Logins, name: str) -> None:
    with pytest.raises(InvalidInput, match="lowercase"):
        logins.add(name)
    assert logins.users() == []


@given(st.text())
def test_any_account_name_gives_a_valid_user_name(text: str) -> None:
    assert check_name(name_like(text))


@pytest.mark.parametrize("name", ["alice", "alice@example.org", "a", "a.b_c-d", "7"])
def test_a_valid_account_name_is_kept(name: str) -> None:
    assert name_like(name) == check_name(name) == name


def test_the_address_carries_the_token() -> None:
    assert login_url("http://127.0.0.1:8000", "a+b") == "http://127.0.0.1:8000/hub/login?token=a%2Bb"
