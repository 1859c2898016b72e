"""The dashboard in a real Chromium: what people see, on screens of all sizes, and that it can be used."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from state.store import Select
from tests.integration.dashboard_world import World, dashboard_world
from tests.node_packages import install
from tests.servers.base import lacking

AXE = "axe-core@4.10.3"
PATIENCE = 60.0  # seconds for what a page does by itself

# The first test waits for an engine, a browser and a package from npm, too.
pytestmark = pytest.mark.timeout(300)

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
SCREENS = {"desktop": 1280, "phone": 390}


class Browser:
    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self._url = url

    def open(self, path: str) -> None:
        self.driver.get(self._url + path)

    def look(self, scheme: str, width: int) -> None:
        """From now on: light or dark, on a screen so wide."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def click(self, selector: str) -> None:
        """The first that there is; a page that looks again meanwhile has put another into its place."""
        for _ in range(5):
            try:
                return self.all(selector)[0].click()
            except StaleElementReferenceException:
                pass
        raise AssertionError(f"{selector} does not stay")

    def press(self, key: str) -> None:
        """Where the focus is: a page that looks again may put another element there at any moment, with the focus."""
        ActionChains(self.driver).send_keys(key).perform()

    def focused(self, expression: str) -> Any:
        """Of the element `it` that has the focus."""
        return self.driver.execute_script(f"const it = document.activeElement; return {expression}")

    def text(self, selector: str = "main") -> str:
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.innerText", selector))

    def until(self, script: str, *arguments: object) -> None:
        """An expression of the page's becomes true. One that is left at that moment may answer with an error."""
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[WebDriverException])
        wait.until(lambda driver: driver.execute_script(f"return {script}", *arguments), script)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, path: Path) -> None:
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "optimizeForSpeed": True}
        )
        path.write_bytes(base64.b64decode(shot["data"]))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        pytest.MonkeyPatch.context() as patch,
        dashboard_world(tmp_path_factory.mktemp("dashboard"), patch) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        lacking("Chromium and its driver are not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, Service(str(chromedriver)))
    try:
        yield found
    finally:
        found.quit()


@pytest.fixture
def browser(world: World, driver: webdriver.Chrome) -> Browser:
    found = Browser(driver, world.url)
    found.look("light", SCREENS["desktop"])
    found.complaints()
    return found


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, https://github.com/dequelabs/axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    install(folder, AXE)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: `DASHBOARD_PICTURES`, to keep them."""
    folder = Path(os.environ.get("DASHBOARD_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pages(world: World) -> dict[str, str]:
    return {
        "overview": "/",
        "connections": "/ui/connections",
        "sinks": "/ui/sinks",
        "dead": "/ui/dead",
        "journal": "/ui/journal",
        "events": "/ui/events",
        "explain": f"/ui/explain?key={world.known.newcomer}",
    }


def test_pages_are_without_errors_and_as_wide_as_the_screen_in_light_and_dark(
    world: World, browser: Browser, pictures: Path
) -> None:
    for scheme in ("light", "dark"):
        for screen, width in SCREENS.items():
            browser.look(scheme, width)
            for name, path in pages(world).items():
                browser.open(path)
                assert browser.all("h1"), path
                wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
                assert wide <= width, f"{path} scrolls sideways on a {screen}"
                browser.picture(pictures / f"{name}-{scheme}-{screen}.png")
                assert browser.complaints() == [], path
    papers = set()
    for scheme in ("light", "dark"):
        browser.look(scheme, SCREENS["desktop"])
        papers.add(browser.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2, "light and dark look the same"


def obstacles(browser: Browser, axe: str) -> list[tuple[str, ...]]:
    """What axe finds on the page that is open, trifles left out."""
    browser.driver.execute_script(axe)
    result = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(done, error => done({error: String(error)}));"
    )
    assert "error" not in result, result
    return [
        (str(browser.driver.current_url), one["id"], node["html"][:120], node["failureSummary"])
        for one in result["violations"]
        for node in one["nodes"]
        if one["impact"] != "minor"
    ]


def test_pages_have_no_serious_obstacles_for_people_with_disabilities(world: World, browser: Browser, axe: str) -> None:
    found = []
    for path in (*pages(world).values(), "/ui/nothing"):
        browser.open(path)
        found += obstacles(browser, axe)
    browser.look("dark", SCREENS["phone"])
    for path in ("/", "/ui/dead", "/ui/journal"):
        browser.open(path)
        found += obstacles(browser, axe)
    assert found == []


def test_what_is_committed_appears_on_the_open_page_by_itself(world: World, browser: Browser) -> None:
    browser.open("/ui/events")
    browser.until("document.getElementById('live').dataset.state === 'live'")
    world.run(world.tell(4711, webinarSubject="<b>Appearing</b> by itself"))
    browser.until("document.getElementById('events').innerText.includes('<b>Appearing</b> by itself')")
    assert not browser.all("#events td b"), "text stays text when a part is replaced"
    assert browser.complaints() == []


def test_a_dead_letter_is_retried_by_a_click_and_another_is_dropped_by_two(world: World, browser: Browser) -> None:
    async def letters() -> list[str]:
        return [one.id for one in await world.app.store.deliveries(Select(sink="strict"), ["dead"])]

    before = world.run(letters())
    browser.open("/ui/dead?sink=strict")
    browser.click("#letters tbody tr:first-child form[action$='/retry'] button")
    browser.until("document.querySelector('.notice.done')?.innerText.includes('1 dead letter will be sent again')")
    assert world.run(letters()) == before[1:]
    browser.click("#letters tbody tr:first-child summary")
    assert world.run(letters()) == before[1:], "one click drops nothing"
    browser.click("#letters tbody tr:first-child details button")
    browser.until("document.querySelector('.notice.done')?.innerText.includes('1 dead letter dropped')")
    assert world.run(letters()) == before[2:]
    assert browser.complaints() == []


def test_it_can_be_used_with_the_keyboard_alone(world: World, browser: Browser) -> None:
    browser.open("/ui/sinks")
    browser.press(Keys.TAB)
    assert browser.focused("it.innerText") == "Skip to the content"
    assert browser.driver.switch_to.active_element.is_displayed()  # no part of the page that is read again
    browser.press(Keys.ENTER)
    browser.until("document.activeElement.id === 'main'")
    browser.press(Keys.TAB)
    assert browser.focused("it.ariaLabel") == "Pause sink log"
    assert "none" not in browser.focused("getComputedStyle(it).outlineStyle")
    browser.press(Keys.ENTER)
    browser.until("document.querySelector('.notice.done')?.innerText === 'Paused log.'")
    assert world.app.switches.is_paused("sink", "log")


def test_news_take_nobody_away_from_the_button_they_are_at(world: World, browser: Browser) -> None:
    browser.open("/ui/sinks")
    browser.until("document.getElementById('live').dataset.state === 'live'")
    focus = "(window.old = document.querySelector('#sinks tr:last-child button')).focus()"
    browser.driver.execute_script(focus)
    world.run(world.tell(1, webinar="w2"))
    browser.until("!window.old.isConnected")
    browser.until("document.activeElement.ariaLabel === window.old.ariaLabel")
    assert browser.focused("it.tagName") == "BUTTON"


def test_a_key_opens_the_page_that_was_asked_for(
    tmp_path: Path, driver: webdriver.Chrome, axe: str, pictures: Path
) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        dashboard_world(tmp_path, patch, api_keys=["full-key"], read_only_keys=["reading-key"]) as keyed,
    ):
        browser = Browser(driver, keyed.url)
        browser.open("/ui/dead")
        assert "Log in" in browser.text()
        browser.all("input[name=key]")[0].send_keys("wrong", Keys.ENTER)
        browser.until("document.querySelector('[role=alert]')")
        browser.picture(pictures / "login.png")
        assert obstacles(browser, axe) == []
        browser.all("input[name=key]")[0].send_keys("reading-key", Keys.ENTER)
        browser.until("location.pathname === '/ui/dead'")
        assert browser.text("h1") == "Dead letters" and not browser.all("#letters form")
        browser.click("header form button")
        browser.until("location.pathname === '/ui/login'")
        browser.open("/")
        assert "Log in" in browser.text()
