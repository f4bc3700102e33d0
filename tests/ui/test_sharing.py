"""What the members of a group share, by a group of the real Hub."""

import pytest
from people import SignIn, user_of
from playwright.sync_api import Page, expect

from jupyter_mlplat.errors import NotFound
from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.sdk import Client
from jupyter_mlplat.testing.platform import RunningPlatform

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(600)]


def test_an_image_is_shared_with_a_group(
    platform: RunningPlatform, grace: Client, graces_instance: Instance, sign_in: SignIn
) -> None:
    image = grace.images.wait(grace.instances.save_image(graces_instance.id, "groups-own", "1").id)
    page = sign_in("grace")
    share(page, image.full_name)
    expect(page.locator("#facts")).to_contain_text("its owner, and the members of vision")
    with user_of(platform, "ada") as ada, user_of(platform, "alan") as alan:
        assert [found.id for found in ada.images.list(name=image.full_name)] == [image.id]
        assert alan.images.list(name=image.full_name) == []
        with pytest.raises(NotFound):
            alan.instances.create("on", image=image.id)
    adas = sign_in("ada")
    adas.goto("/services/mlplat/images")
    row = adas.get_by_role("row").filter(has_text=image.full_name)
    expect(row).to_contain_text("of grace")
    grace.images.delete(image.id)


def share(page: Page, name: str) -> None:
    """In the console, with the one group that one is in."""
    page.goto("/services/mlplat/images")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name="Share…").click()
    dialog = page.get_by_role("dialog", name=f"Share {name}")
    group = dialog.get_by_role("checkbox", name="vision")
    expect(group).to_be_hidden()
    dialog.get_by_role("radio", name="Groups").check()
    group.uncheck()
    dialog.get_by_role("button", name="Share with groups").click()
    expect(dialog).to_contain_text("Name one group or more")
    group.check()
    dialog.get_by_role("button", name="Share with groups").click()


def test_an_endpoint_is_shared_with_a_group(platform: RunningPlatform, grace: Client, sign_in: SignIn) -> None:
    grace.storage_endpoints.add("lake", "http://127.0.0.1:9", "ak", "secret", keys="own", buckets=["sets"])
    page = sign_in("grace")
    page.goto("/services/mlplat/storage")
    row = page.get_by_role("row").filter(has_text="lake")
    row.get_by_label("More for lake").click()
    row.get_by_role("link", name="Change…").click()
    dialog = page.get_by_role("dialog", name="Change lake")
    dialog.get_by_role("checkbox", name="vision").check()
    dialog.get_by_role("button", name="Change", exact=True).click()
    expect(row).to_contain_text("Shared with vision")
    adas = sign_in("ada")
    adas.goto("/services/mlplat/storage")
    theirs = adas.get_by_role("row").filter(has_text="lake.grace")
    expect(theirs).to_contain_text("Shared by grace")
    expect(theirs.get_by_label("More for")).to_have_count(0)
    with user_of(platform, "alan") as alan:
        assert [one.name for one in alan.storage_endpoints.list()] == ["local"]
    grace.storage_endpoints.remove("lake")
