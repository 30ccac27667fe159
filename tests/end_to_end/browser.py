"""A real Chromium, driven by Selenium: windows of any size, with and without JavaScript, and what it complains of."""

from __future__ import annotations

import contextlib
import shutil
from typing import Iterator

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

# A name that leads to this machine in the browser alone: what comes from there is not taken for safe, as over a network.
ELSEWHERE = "vm.tailnet.example"


class Browser:
    """A browser with one window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def resize(self, width: int, height: int = 844, dark: bool = False) -> None:
        """Makes the window this large; narrower than any window of a desktop can be, too."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        try:
            return [element.text for element in self.all(selector)]
        except StaleElementReferenceException:
            raise AssertionError(f"the page changed while {selector} was read") from None

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def goes_offline(self, offline: bool = True) -> None:
        self.driver.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def complaints(self) -> list[str]:
        """What is in the console since this was last asked: errors, warnings, what the policy forbade."""
        return [f"{entry['level']} {entry['message']}" for entry in self.driver.get_log("browser")]


@contextlib.contextmanager
def browser(javascript: bool = True) -> Iterator[Browser]:
    """A browser for the length of a `with` block; at its end nothing may be in the console."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        assert path, f"{name} is not on the PATH: these tests need the packages chromium and chromium-driver"
    options = Options()
    options.binary_location = programs["chromium"]
    for argument in (
        "--headless=new",
        # The tests run as root, where there is no sandbox.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--window-size=1280,900",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    # Both paths are given, so that Selenium looks for nothing and downloads nothing.
    driver = webdriver.Chrome(options=options, service=Service(programs["chromedriver"]))
    try:
        opened = Browser(driver)
        yield opened
        complaints = opened.complaints()
        assert not complaints, f"the browser complains: {complaints}"
    finally:
        driver.quit()
