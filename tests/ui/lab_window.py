"""A browser page with JupyterLab in it, used as a person uses it: by what is seen, clicked and typed."""

import re
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from jupyter_mlplat.instances.models import Instance

DONE = re.compile(r"\[\d+\]:")


class LabWindow:
    """JupyterLab in `page`. Each method does one thing that a person would do, and waits until it is seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.flavor = page.locator(".mlp-indicator")
        self.notebook = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.job = page.locator(".mlp-job-page:not(.lm-mod-hidden)")
        self.job_state = self.job.locator(".mlp-page-header .mlp-state")
        self.dialog = page.locator(".jp-Dialog")
        self.panel = page.locator("#jp-left-stack .lm-Widget.mlp-view:not(.lm-mod-hidden)")

    def enter(self, instance: Instance) -> None:
        """Go to the Lab of an instance, as its card's button does."""
        self.page.goto(f"/services/mlplat/instances/{instance.id}/open")
        self.wait()

    def wait(self) -> None:
        """Until Lab has come up and says what it computes with."""
        expect(self.page).to_have_url(re.compile(r"/user/[^/]+/[^/]+/lab"))
        expect(self.page.locator("#jp-main-dock-panel")).to_be_visible()
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        expect(self.flavor).to_be_visible()

    def tab(self, name: str | re.Pattern[str]) -> Locator:
        """The tab of a document in the main area."""
        return self.page.locator("#jp-main-dock-panel .lm-TabBar-tab").filter(has_text=name)

    def choose(self, menu: str, *entries: str) -> None:
        """An entry of a menu of the top bar, by way of the menus that it is in."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        for entry in entries:
            self.page.locator(".lm-Menu-item").filter(has_text=re.compile(f"^{entry}")).first.click()

    def speak(self, language: str) -> None:
        """Change the language, which loads Lab anew."""
        self.choose("Settings", "Language", re.escape(language))
        with self.page.expect_navigation():
            self.dialog.get_by_role("button", name="Change and reload").click()
        self.wait()

    def new_notebook(self) -> None:
        self.page.locator(".jp-LauncherCard[data-category=Notebook]").click()
        self.wait_for_kernel()

    def upload(self, files: Sequence[Path]) -> None:
        """Through the button above the list of files."""
        self.show("File Browser")
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=re.compile("Upload Files")).click()
        chooser.value.set_files(files)
        for file in files:
            expect(self.file(file.name)).to_be_visible()

    def send(self, name: str) -> Locator:
        """Copy a file or folder of the list of files to the place that is open in the storage panel; its copy's row."""
        self.show("File Browser")
        self.page.get_by_role("button", name="Refresh the file browser").click()
        self.file(name).click(button="right")
        self.page.locator(".lm-Menu-item").filter(has_text="Copy to the Storage").click()
        return self.panel.locator(".mlp-transfer").filter(has_text=name).first

    def open(self, name: str) -> None:
        """A notebook of the list of files."""
        self.show("File Browser")
        self.file(name).dblclick()
        expect(self.tab(name)).to_have_class(re.compile("lm-mod-current"))
        self.wait_for_kernel()

    def show(self, panel: str) -> Locator:
        """The side panel of that name: File Browser, Instance, Jobs or Storage."""
        tab = self.page.locator(f".jp-SideBar.jp-mod-left .lm-TabBar-tab[title^='{panel}']")
        if "lm-mod-current" not in (tab.get_attribute("class") or ""):
            tab.click()
        return self.panel

    def run(self, code: str) -> str:
        """Type into the last cell and run it; what stands below it afterwards."""
        cells = self.notebook.locator(".jp-CodeCell")
        cell = cells.nth(cells.count() - 1)
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(DONE)
        return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())

    def save(self) -> None:
        self.page.keyboard.press("Control+s")
        self._wait_for_save()

    def save_as(self, name: str) -> None:
        """Save a new notebook; Lab asks for its name."""
        self.page.keyboard.press("Control+s")
        self.dialog.get_by_role("textbox").fill(name)
        self.dialog.get_by_role("button", name="Rename and Save").click()
        expect(self.tab(name)).to_be_visible()
        self._wait_for_save()

    def switch_flavor(self, label: str) -> None:
        """In the top bar, to a flavor that applies at once."""
        self.flavor.click()
        choice = self.page.get_by_role("menuitemradio").filter(has_text=label).first
        expect(choice).to_contain_text("kernels keep running")
        choice.click()
        expect(choice).to_have_attribute("aria-checked", "true")
        self.page.keyboard.press("Escape")
        expect(choice).to_have_count(0)

    def submit(self) -> Locator:
        """Press "Submit as job"; the form that opens."""
        self.notebook.get_by_role("button", name=re.compile("Submit as job")).click()
        expect(self.dialog.get_by_text("Sends")).to_be_visible()
        return self.dialog

    def toast(self, words: str | re.Pattern[str]) -> Locator:
        return self.page.locator(".Toastify__toast").filter(has_text=words)

    def job_tab(self, name: str) -> Locator:
        """Show a tab of the job's page; what it shows."""
        tab = self.job.get_by_role("tab", name=name)
        tab.click()
        return self.page.locator(f"#{tab.get_attribute('aria-controls')}")

    def file(self, name: str) -> Locator:
        """A row of the list of files."""
        return self.page.locator(".jp-DirListing-item").filter(has_text=re.compile(f"^{re.escape(name)}"))

    def _wait_for_save(self) -> None:
        expect(self.dialog).to_have_count(0)
        expect(self.page.locator("#jp-main-dock-panel .lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)

    def wait_for_kernel(self) -> None:
        """Until the kernel of the document in front has nothing to do."""
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
