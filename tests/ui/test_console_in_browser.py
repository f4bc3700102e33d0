"""The console in a browser: what people do on its pages, and what they are told."""

import re
from pathlib import Path

import pytest
from console_stage import PREFIX, OpenPage, Stage
from playwright.sync_api import Locator, Page, expect

from jupyter_mlplat.access.sessions import SESSION_COOKIE

pytestmark = pytest.mark.browser


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem", name=name, exact=True)


def choose(page: Page, name: str, entry: str) -> None:
    """Take an entry of the menu of an instance's card."""
    page.get_by_label(f"More for {name}", exact=True).click()
    card(page, name).get_by_role("link", name=entry).click()


def test_the_first_instance_is_three_clicks_away(console: Stage, open_page: OpenPage) -> None:
    page = open_page("newcomer")
    page.goto(f"{PREFIX}/")
    page.get_by_role("link", name="Create your first instance").click()
    expect(page.get_by_label("Name")).to_have_value("notebook")
    page.get_by_role("button", name="Create").click()
    page.wait_for_url(f"{console.address}/user/newcomer/*/lab")
    expect(page.get_by_role("heading", name="Lab of newcomer")).to_be_visible()


def test_a_wait_shows_its_steps_and_ends_in_lab(console: Stage, open_page: OpenPage) -> None:
    console.gate.clear()
    made = console.create("alice", "waits-for-lab", "CREATING")
    page = open_page("alice")
    page.goto(f"{PREFIX}/instances/{made.id}/open")
    expect(page.get_by_role("heading", name="waits-for-lab is starting")).to_be_visible()
    step = page.get_by_role("listitem").filter(has_text="Prepare compute")
    expect(step).to_contain_text("Under way")
    expect(step).to_contain_text("Taking python:3.11")
    expect(step).to_contain_text(re.compile(r"\d+ s"))
    console.gate.set()
    page.wait_for_url(f"**/user/alice/{made.id}/lab")


def test_a_failed_start_says_what_happened_and_what_to_do(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "breaks-at-start", "CREATE_FAILED")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    card(page, "breaks-at-start").get_by_role("link", name="See what to do").click()
    expect(page.get_by_role("alert").first).to_contain_text("cannot be made. Choose another image.")
    expect(page.get_by_text("Your files in the work folder are kept.")).to_be_visible()
    page.get_by_text("Details", exact=True).click()
    expect(page.get_by_text("FailedCreate")).to_be_visible()
    with page.expect_request(f"**/v1/instances/{made.id}/start"):
        page.get_by_role("button", name="Try again").click()


def test_stopping_says_what_is_kept_and_starting_leads_to_lab(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "to-be-stopped")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    choose(page, made.name, "Stop…")
    dialog = page.get_by_role("dialog", name="Stop to-be-stopped?")
    expect(dialog).to_contain_text("Kept: the work folder with all files")
    expect(dialog.get_by_role("link", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    choose(page, made.name, "Stop…")
    dialog.get_by_role("button", name="Stop instance").click()
    expect(card(page, made.name)).to_contain_text("Stopped")
    page.goto(f"{PREFIX}/instances/{made.id}/open")
    expect(page.get_by_role("heading", name="to-be-stopped is stopped")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(f"**/user/alice/{made.id}/lab")


def test_a_switch_says_whether_it_restarts(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "to-be-switched", flavor="cpu.1u2g")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    choose(page, made.name, "Switch flavor…")
    dialog = page.get_by_role("dialog", name="Switch flavor of to-be-switched")
    expect(dialog.get_by_role("button", name="Switch")).to_be_disabled()
    expect(dialog.get_by_role("radio", name=re.compile("8 vCPU · 32 GiB Not free")).first).to_be_disabled()
    dialog.get_by_text("4 vCPU · 16 GiB").click()
    expect(dialog.get_by_role("button", name="Restart and switch")).to_be_enabled()
    dialog.get_by_text("2 vCPU · 4 GiB").click()
    dialog.get_by_role("button", name="Switch", exact=True).click()
    expect(card(page, made.name)).to_contain_text("2 vCPU · 4 GiB")
    expect(card(page, made.name)).to_contain_text("Running")
    choose(page, made.name, "Switch flavor…")
    dialog.get_by_text("4 vCPU · 16 GiB").click()
    dialog.get_by_role("button", name="Restart and switch").click()
    expect(card(page, made.name)).to_contain_text("4 vCPU · 16 GiB")


def test_a_refusal_stays_in_the_dialog(console: Stage, open_page: OpenPage) -> None:
    console.create("alice", "taken")
    made = console.create("alice", "to-be-renamed")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    choose(page, made.name, "Rename…")
    dialog = page.get_by_role("dialog", name="Rename to-be-renamed")
    dialog.get_by_label("Name").fill("taken")
    dialog.get_by_role("button", name="Rename").click()
    expect(dialog.get_by_role("alert")).to_contain_text("You have an instance named taken already.")
    dialog.get_by_text("Details").click()
    expect(dialog.get_by_text("MLPLAT.ALREADY_EXISTS")).to_be_visible()
    dialog.get_by_label("Name").fill("renamed")
    dialog.get_by_role("button", name="Rename").click()
    expect(card(page, "renamed")).to_be_visible()


def test_an_environment_becomes_an_image_that_can_be_deleted(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "to-be-saved")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    choose(page, made.name, "Save image…")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("vision")
    dialog.get_by_role("button", name="Save image").click()
    row = page.get_by_role("row").filter(has_text="vision:v1")
    expect(row).to_contain_text("Ready")
    expect(row).to_contain_text("from to-be-saved")
    row.get_by_label("More for vision:v1").click()
    row.get_by_role("link", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete image").click()
    expect(row).to_have_count(0)


def test_deleting_an_instance_takes_it_off_the_list(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "to-be-deleted")
    page = open_page("alice")
    page.goto(f"{PREFIX}/instances/{made.id}")
    page.get_by_label("More for to-be-deleted").click()
    page.get_by_role("link", name="Delete…").click()
    dialog = page.get_by_role("dialog", name="Delete to-be-deleted for good?")
    expect(dialog).to_contain_text("images that were saved from it")
    dialog.get_by_role("button", name="Delete instance and files").click()
    page.wait_for_url(f"**{PREFIX}/")
    expect(card(page, made.name)).to_have_count(0)


def test_a_list_changes_by_itself_but_not_under_an_open_menu(console: Stage, open_page: OpenPage) -> None:
    first = console.create("alice", "first-of-list")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    menu = page.get_by_label("More for first-of-list")
    menu.click()
    with page.expect_response(lambda answer: answer.url.endswith(f"{PREFIX}/") and answer.ok):
        console.create("alice", "second-of-list")
    expect(card(page, first.name).get_by_role("link", name="Rename…")).to_be_visible()
    expect(card(page, "second-of-list")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(card(page, "second-of-list")).to_be_visible()
    expect(page.get_by_label("More for first-of-list")).to_be_focused()


def test_menus_can_be_used_with_the_keyboard(console: Stage, open_page: OpenPage) -> None:
    console.create("alice", "by-keyboard")
    page = open_page("alice")
    page.goto(f"{PREFIX}/")
    page.get_by_label("More for by-keyboard").focus()
    page.keyboard.press("Enter")
    details = card(page, "by-keyboard").get_by_role("link", name="Details")
    expect(details).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(details).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Delete by-keyboard for good?")).to_be_visible()


def test_a_job_shows_its_log_and_runs_again(console: Stage, open_page: OpenPage, tmp_path: Path) -> None:
    job = console.submit("alice", tmp_path)
    page = open_page("alice")
    page.goto(f"{PREFIX}/jobs/{job}")
    expect(page.get_by_role("log")).to_have_text("cell 1\ncell 2\ncell 3\n", timeout=30_000)
    expect(page.get_by_text("The log ends here.")).to_be_visible()
    expect(page.locator("#head")).to_contain_text("Completed")
    page.get_by_role("link", name="Files").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="model/weights.bin").click()
    assert download.value.path().read_text() == "model/weights.bin"
    page.get_by_role("link", name="Metrics").click()
    expect(page.get_by_role("columnheader", name="loss")).to_be_visible()
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)


def test_choosing_an_image_narrows_as_one_types(console: Stage, open_page: OpenPage) -> None:
    made = console.create("searcher", "source")
    with console.api("searcher") as api:
        for name in ("vision", "speech", "tables"):
            api.post(f"/instances/{made.id}/images", json={"name": name, "tag": "v1"}).raise_for_status()
            image = f"{name}:v1"
            page = open_page("searcher")
            page.goto(f"{PREFIX}/images")
            expect(page.get_by_role("row").filter(has_text=image)).to_contain_text("Ready")
    page.goto(f"{PREFIX}/instances/new")
    page.get_by_label("Search images").fill("SPEE")
    expect(page.get_by_text("speech:v1")).to_be_visible()
    expect(page.get_by_text("vision:v1")).to_be_hidden()
    expect(page.get_by_text("Presets")).to_be_hidden()


def test_what_users_write_is_not_run(console: Stage, open_page: OpenPage) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    made = console.create("alice", "hostile", description=hostile, tags=[{"key": hostile, "value": hostile}])
    for user in ("alice", "admin"):
        page = open_page(user)
        page.goto(f"{PREFIX}/instances/{made.id}")
        expect(page.get_by_text(hostile).first).to_be_visible()
        page.goto(f"{PREFIX}/?name={hostile}")
        expect(page.get_by_text("No instance has")).to_be_visible()


def test_an_ended_session_is_said_and_leads_back(open_page: OpenPage) -> None:
    page = open_page("alice")
    page.goto(f"{PREFIX}/instances/new")
    page.context.clear_cookies(name=SESSION_COOKIE)
    page.get_by_label("Name").fill("never-made")
    page.get_by_role("button", name="Create").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Your session has ended.")
    link = alert.get_by_role("link", name="Sign in again")
    assert (link.get_attribute("href") or "").endswith("next=%2Fservices%2Fmlplat%2Finstances%2Fnew")


def test_another_users_instance_is_said_not_to_be_there(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "private")
    page = open_page("bob")
    page.goto(f"{PREFIX}/instances/{made.id}/open")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("private")


def test_a_page_of_a_user_server_cannot_take_the_csrf_token(console: Stage, open_page: OpenPage) -> None:
    page = open_page("alice")
    page.goto("/user/alice/i-1/lab")
    fetched = page.evaluate(f"fetch('{PREFIX}/').then(async a => [a.status, await a.text()])")
    assert fetched[0] == 403
    assert not re.search(r'csrf-token" content="\w', fetched[1])
    with page.expect_popup() as popup:
        handle = page.evaluate_handle(f"window.open('{PREFIX}/')")
    expect(popup.value.get_by_role("heading", name="Instances")).to_be_visible()
    assert page.evaluate("other => other.closed", handle), "the window is out of reach"


def test_light_and_dark_follow_the_system_until_somebody_chooses(open_page: OpenPage) -> None:
    page = open_page("alice", color_scheme="dark")
    page.goto(f"{PREFIX}/storage")
    dark = background(page)
    page.get_by_role("button", name="Switch between light and dark").click()
    light = background(page)
    assert dark != light
    page.reload()
    assert background(page) == light


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_chinese_is_spoken_to_who_reads_it(console: Stage, open_page: OpenPage) -> None:
    console.create("alice", "chinese")
    page = open_page("alice", locale="zh-CN")
    page.goto(f"{PREFIX}/")
    expect(page.get_by_role("heading", name="实例", exact=True)).to_be_visible()
    expect(card(page, "chinese")).to_contain_text("运行中")
    expect(card(page, "chinese")).to_contain_text("刚刚")


def test_times_are_relative_with_the_exact_one_on_hover(console: Stage, open_page: OpenPage) -> None:
    made = console.create("alice", "timed")
    page = open_page("alice", timezone_id="Asia/Shanghai")
    page.goto(f"{PREFIX}/instances/{made.id}")
    time = page.locator("#facts time").last
    expect(time).to_have_text("just now")
    hour = (made.created_at.hour + 8) % 24 % 12 or 12
    assert f"{hour}:{made.created_at.minute:02}:{made.created_at.second:02}" in (time.get_attribute("title") or "")
