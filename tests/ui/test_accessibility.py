"""What axe finds on our pages: nothing serious. Needs `npm ci` (axe-core)."""

from pathlib import Path
from typing import Any

import pytest
from console_stage import PREFIX, OpenPage, Stage
from lab_window import LabWindow
from notebooks import training
from people import SignIn
from playwright.sync_api import Page, expect

from jupyter_mlplat.instances.models import Instance

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = {"serious", "critical"}


def findings(page: Page, *, within: str | None = None) -> list[str]:
    """What axe calls serious or critical, on the whole page or inside the elements of a selector."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"]}
    run = "([within, options]) => axe.run(within ? {include: [[within]]} : document, options)"
    found: dict[str, Any] = page.evaluate(run, [within, options])
    grave = [rule for rule in found["violations"] if rule["impact"] in GRAVE]
    return [f"{rule['id']}: {rule['help']}: {node['html'][:160]}" for rule in grave for node in rule["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_the_console(console: Stage, open_page: OpenPage, tmp_path: Path, scheme: str) -> None:
    user = f"axe-{scheme}"
    page = open_page(user, color_scheme=scheme)
    page.goto(f"{PREFIX}/")
    found = findings(page)
    made = console.create(user, "study")
    failed = console.create(user, "breaks-at-start", "CREATE_FAILED")
    job = console.submit(user, tmp_path)
    image = image_of(console, user)
    instance = f"instances/{made.id}"
    pages = [
        *(
            "",
            "instances/new",
            "images",
            "images/compare",
            "jobs",
            "storage",
            "storage/new",
            "keys",
            "keys/add",
            "keys/make",
            f"images/{image}",
            f"instances/{failed.id}/open",
        ),
        *(
            instance,
            *(f"{instance}/{change}" for change in ("flavor", "image", "save", "preview", "rename", "stop", "delete")),
        ),
        *(f"jobs/{job}?tab={tab}" for tab in ("logs", "metrics", "files", "details")),
    ]
    for path in pages:
        page.goto(f"{PREFIX}/{path}")
        found += [f"{path}: {finding}" for finding in findings(page)]
    assert found == []


def test_pages_of_the_administrator(open_page: OpenPage) -> None:
    page = open_page("admin")
    for path in ("admin", "admin/audit"):
        page.goto(f"{PREFIX}/{path}")
        assert findings(page) == []


def image_of(console: Stage, user: str) -> str:
    with console.api(user) as api:
        return str(api.get("/images").raise_for_status().json()["data"][0]["id"])


@pytest.mark.hub
@pytest.mark.timeout(600)
def test_panels_and_forms_of_lab(graces_instance: Instance, sign_in: SignIn, tmp_path: Path) -> None:
    lab = LabWindow(sign_in("grace"))
    lab.enter(graces_instance)
    found = []
    for panel in ("Instance", "Jobs", "Storage"):
        expect(lab.show(panel).get_by_role("heading", name=panel)).to_be_visible()
        found += findings(lab.page, within="#jp-left-stack .mlp-view:not(.lm-mod-hidden)")
    lab.flavor.click()
    expect(lab.page.get_by_role("menuitemradio").first).to_be_visible()
    found += findings(lab.page, within=".mlp-popover")
    lab.page.keyboard.press("Escape")
    lab.upload(training(tmp_path))
    lab.open("train.ipynb")
    form = lab.submit()
    found += findings(lab.page, within=".mlp-form")
    form.get_by_role("button", name="Submit").click()
    lab.toast("submitted").get_by_role("button", name="Open").click()
    expect(lab.job_state).to_have_text("Completed")
    for tab in ("Logs", "Metrics", "Files", "Details"):
        lab.job_tab(tab)
        found += findings(lab.page, within=".mlp-job-page")
    assert found == []
