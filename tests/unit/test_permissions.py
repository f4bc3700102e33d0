"""The table of permissions, as each kind of caller meets it."""

import pytest

from jupyter_mlplat.access.actor import Actor
from jupyter_mlplat.access.permissions import PERMISSIONS, HiddenResource, Refused, allowed, granted, require
from jupyter_mlplat.errors import NotAllowed, NotFound

ALICE = Actor("alice")
ADMIN = Actor("root", admin=True)
ONE = Actor("alice", instance_id="i-one")
ADMINS = Actor("root", admin=True, instance_id="i-roots")

FOR_ADMINISTRATORS = {"advisory:replace"}
OWNERS_ONLY = {"instance:create", "instance:update", "instance:start", "storage:manage"}
NOT_FROM_AN_INSTANCE = OWNERS_ONLY | {"instance:delete", "image:delete", "image:update", "audit:read"}
NOT_FROM_AN_INSTANCE |= {"ssh:manage", "ssh:connect", "image:register"} | FOR_ADMINISTRATORS
ONLY_ITSELF = {"instance:stop", "instance:switch", "instance:save", "instance:mount"}
ONLY_ITSELF |= {"instance:report", "ssh:cut", "ssh:serve"}
NOT_FOR_ADMINISTRATORS = {
    "instance:create", "instance:update", "instance:start", "instance:switch", "instance:save", "instance:report",
    "instance:mount",
    "image:use", "image:register", "image:build",
    "bundle:create", "bundle:read", "job:create", "storage:read", "storage:write",
    "storage:use", "storage:manage",
    "ssh:manage", "ssh:read", "ssh:connect", "ssh:serve",
}  # fmt: skip


@pytest.mark.parametrize("action", PERMISSIONS)
def test_owners_may_do_all_with_what_is_theirs(action: str) -> None:
    assert allowed(ALICE, action, "alice") is (action not in FOR_ADMINISTRATORS)


@pytest.mark.parametrize("action", PERMISSIONS)
def test_nobody_else_may_do_anything(action: str) -> None:
    for stranger in (Actor("bob"), Actor("bob", instance_id="i-one"), ADMINS, Actor("", admin=False)):
        assert not allowed(stranger, action, "alice", instance_id="i-one")


@pytest.mark.parametrize("action", PERMISSIONS)
def test_an_instance_may_do_what_it_needs(action: str) -> None:
    assert allowed(ONE, action, "alice", instance_id="i-one") is (action not in NOT_FROM_AN_INSTANCE)
    assert allowed(ONE, action, "alice", instance_id="i-two") is (action not in NOT_FROM_AN_INSTANCE | ONLY_ITSELF)


@pytest.mark.parametrize("action", PERMISSIONS)
def test_administrators_look_stop_and_delete_but_do_not_act_as_others(action: str) -> None:
    assert allowed(ADMIN, action, "alice") is (action not in NOT_FOR_ADMINISTRATORS)


@pytest.mark.parametrize("action", PERMISSIONS)
def test_what_is_shared_may_be_seen_and_used_by_all(action: str) -> None:
    assert allowed(Actor("bob"), action, "", shared=True) is (
        action in ("image:read", "image:use", "storage:read", "storage:use")
    )


def test_what_one_may_not_see_is_not_there() -> None:
    with pytest.raises(NotFound) as hidden:
        require(Actor("bob"), "instance:delete", owner="alice", resource_id="i-one", instance_id="i-one")
    assert isinstance(hidden.value, HiddenResource)
    assert (hidden.value.refusal.actor.user, hidden.value.refusal.action) == ("bob", "instance:delete")


def test_what_one_may_only_see_is_refused_with_a_way_out() -> None:
    with pytest.raises(NotAllowed, match="Sign in to the console") as refused:
        require(ONE, "instance:delete", owner="alice", resource_id="i-one", instance_id="i-one")
    assert isinstance(refused.value, Refused)
    with pytest.raises(NotAllowed, match="administrator"):
        require(ALICE, "image:delete", owner="", resource_id="m-preset", shared=True)
    with pytest.raises(NotAllowed):
        require(ADMIN, "instance:start", owner="alice", resource_id="i-one")


def test_an_unknown_action_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        require(ALICE, "instance:fly", owner="alice")


def test_granted_is_what_require_lets_pass() -> None:
    assert granted(ALICE) == sorted(set(PERMISSIONS) - FOR_ADMINISTRATORS)
    assert set(granted(ONE)) == set(PERMISSIONS) - NOT_FROM_AN_INSTANCE
