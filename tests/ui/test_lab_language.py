"""Lab in another language."""

import pytest
from lab_window import LabWindow
from people import SignIn
from playwright.sync_api import expect

from jupyter_mlplat.instances.models import Instance

pytestmark = [pytest.mark.browser, pytest.mark.hub]


def test_lab_can_be_switched_to_chinese(graces_instance: Instance, sign_in: SignIn) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    lab.speak("Chinese (Simplified, China)")
    panel = lab.show("实例")
    expect(panel.get_by_role("heading", name="当前使用")).to_be_visible()
    expect(panel.get_by_role("button", name="保存镜像…")).to_be_visible()
    expect(panel.get_by_text("运行中")).to_be_visible()
    lab.flavor.click()
    choices = lab.page.get_by_role("menuitemradio")
    expect(choices.filter(has_text="2 vCPU · 4 GiB")).to_contain_text("立即生效，内核继续运行")
    expect(choices.filter(has_text="1× GPU")).to_contain_text("不可用：此机器没有 GPU")
