"""The status page in a real browser, of a fleet on a bad day."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

import fleet
from browser import ELSEWHERE, Browser, browser
from exporter import Exporter, Server
from processes import wait_for

# Damaged are the first, the fourth and the seventh.
COUNT = 8
DAMAGED = ["vijay", "hermes-04", "hermes-07"]


@dataclasses.dataclass
class Shown:
    """A fleet that is served."""

    server: Server
    folder: Path

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.port}{path}"


@pytest.fixture(scope="module")
def shown(binary: Path) -> Iterator[Shown]:
    with tempfile.TemporaryDirectory(prefix="hermes-exporter-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        exporter = Exporter(binary, folder)
        with fleet.configured(folder, exporter, COUNT, "bad") as configuration:
            with exporter.serving(configuration) as server:
                yield Shown(server, folder)


@pytest.fixture
def page(shown: Shown) -> Iterator[Browser]:
    with browser() as opened:
        opened.open(shown.url())
        yield opened


def names(page: Browser) -> list[str]:
    return page.texts("#instances article h3")


def refresh(page: Browser) -> None:
    """What the page does every 30 seconds, now."""
    page.run("return refresh()")


def test_each_instance_has_a_card_and_the_worst_comes_first(page: Browser) -> None:
    found = names(page)
    assert len(found) == COUNT and set(found[:3]) == set(DAMAGED)
    assert page.texts("#instances article .badge") == ["critical", "critical", "warning"] + ["healthy"] * 5
    assert page.one(".healthy-of").text == "healthy 5 of 8"
    assert "critical · Hermes fleet" in page.driver.title
    assert "gateway has crashed" in page.one("#findings-critical").text
    # Only what is wrong is unfolded.
    assert [card.get_attribute("open") for card in page.all("#instances details[id^=card]")].count("true") == 3
    assert "/critical.svg?v=" in page.one("link[rel=icon]").get_attribute("href")


def test_a_severity_is_filtered_by_and_stays_so(page: Browser, shown: Shown) -> None:
    page.one(".chip.warning").click()
    assert page.driver.current_url == shown.url("/?severity=warning")
    assert set(names(page)) == {"hermes-04", "hermes-07"} and not page.all("#findings-critical")
    refresh(page)
    assert set(names(page)) == {"hermes-04", "hermes-07"}
    page.one(".chips .chip").click()
    assert len(names(page)) == COUNT


def test_a_name_is_filtered_by_while_it_is_typed(page: Browser, shown: Shown) -> None:
    field = page.one("#instance-filter")
    field.send_keys("vij")
    wait_for("the other instances to be gone", lambda: names(page) == ["vijay"])
    assert page.driver.switch_to.active_element == field and field.get_attribute("value") == "vij"
    assert page.driver.current_url == shown.url("/?instance=vij")
    field.send_keys(Keys.BACKSPACE * 3)
    wait_for("all instances to be back", lambda: len(names(page)) == COUNT)


@pytest.mark.parametrize("host", ["127.0.0.1", ELSEWHERE])
def test_a_command_is_copied_over_tls_and_over_plain_http(page: Browser, shown: Shown, host: str) -> None:
    page.open(shown.url(host=host))
    assert page.run("return window.isSecureContext") == (host == "127.0.0.1")
    card = "#instance-vijay"
    for button, expected in zip(page.all(f"{card} button.copy"), ("ssh -N -L ", "s6-svc -r "), strict=True):
        button.click()
        wait_for("the button to say so", lambda: button.text == "Copied")
        field = page.one("#instance-filter")
        page.run("arguments[0].form.onsubmit = () => false; arguments[0].value = ''", field)
        field.send_keys(Keys.CONTROL, "v")
        pasted = field.get_attribute("value")
        assert pasted.startswith(expected), pasted
        assert pasted in [code.get_attribute("textContent") for code in page.all(f"{card} .commands code")]


def test_a_refresh_shows_what_is_new_and_leaves_the_reader_alone(page: Browser, shown: Shown) -> None:
    page.one("#instance-vijay .commands summary").click()
    healthy = page.one("#instance-hermes-08 summary.head")
    healthy.click()
    page.run("document.getElementById('instance-vijay').kept = true; window.scrollTo(0, 300)")
    button = page.one("#instance-vijay button.copy")
    page.run("arguments[0].focus({preventScroll: true})", button)
    before = page.one("#looked time").get_attribute("datetime")

    state = shown.folder / "home-07/gateway_state.json"
    content = json.loads(state.read_text())
    content["active_agents"] = 7
    state.write_text(json.dumps(content))

    def is_new() -> bool:
        refresh(page)
        return page.one("#looked time").get_attribute("datetime") != before

    wait_for("the page to tell of a later look", is_new)
    wait_for("the agents to be seen", lambda: "7 agents at work" in page.one("#instance-hermes-08").text)
    assert page.one("#instance-vijay .commands").get_attribute("open")
    assert page.run("return document.getElementById('instance-vijay').kept && window.scrollY") == 300
    assert page.driver.switch_to.active_element == button


def test_a_refresh_that_fails_says_so_and_how_old_the_page_is(page: Browser) -> None:
    page.goes_offline()
    refresh(page)
    failure = page.one("#refresh-failure")
    assert failure.is_displayed() and failure.text.startswith("Not refreshed since ")
    assert "What you see is " in failure.text and page.driver.title.startswith("? not refreshed · ")
    assert len(names(page)) == COUNT
    # The browser itself notes the request that failed.
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in page.complaints())
    page.goes_offline(False)
    refresh(page)
    assert not failure.is_displayed() and not page.driver.title.startswith("?")


def test_everything_is_there_without_javascript(shown: Shown) -> None:
    with browser(javascript=False) as page:
        page.open(shown.url("/?severity=critical"))
        assert not page.all("html.scripted") and "vijay" in names(page)
        assert page.one("noscript meta[http-equiv=refresh]").get_attribute("content") == "30"
        assert not any(button.is_displayed() for button in page.all("button.copy"))
        page.one("#instance-vijay .commands summary").click()
        assert any(code.text.startswith("s6-svc -r ") for code in page.all("#instance-vijay .commands code"))
        page.one(".chips .chip").click()
        page.one("#instance-filter").send_keys("hermes-05", Keys.ENTER)
        wait_for("the other instances to be gone", lambda: names(page) == ["hermes-05"])
        assert page.driver.current_url == shown.url("/?instance=hermes-05")


def test_a_finding_leads_to_its_runbook_and_back(page: Browser) -> None:
    page.one("#findings-critical a.runbook").click()
    assert page.one("main h1").text == "Gateway crashed" and page.all("main pre code")
    page.one("a.brand").click()
    assert len(names(page)) == COUNT


@pytest.mark.parametrize("width", [1920, 1280, 800, 390, 360])
def test_nothing_is_wider_than_the_window(page: Browser, shown: Shown, width: int) -> None:
    page.resize(width)
    for path in ("/", "/runbooks/", "/runbooks/gateway_crashed"):
        page.open(shown.url(path))
        page.run("document.querySelectorAll('details').forEach(details => details.open = true)")
        wide = page.run(
            "const wide = document.documentElement.clientWidth;"
            "return [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > wide + 1)"
            ".map(one => one.outerHTML.slice(0, 80))"
        )
        # Beside a scroll bar there is a little less.
        scrolls = page.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not scrolls and not wide, (path, wide)


# The contrast of every text with what it stands on, as WCAG reckons it; patterns count as their ground.
LOW_CONTRASTS = """
const light = channel => (channel /= 255) <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([red, green, blue]) => 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
const ground = one => {
  for (; one; one = one.parentElement) {
    const colour = parts(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const low = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const one = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !one.checkVisibility() || one.closest(".hidden")) continue;
  const pair = [parts(getComputedStyle(one).color), ground(one)].map(luminance).sort((a, b) => b - a);
  const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (contrast < 4.5) low.push([contrast.toFixed(2), one.className, texts.currentNode.data]);
}
return low;
"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(page: Browser, shown: Shown, dark: bool) -> None:
    page.resize(1280, dark=dark)
    for path in ("/", "/runbooks/gateway_crashed"):
        page.open(shown.url(path))
        page.run("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert page.run(LOW_CONTRASTS) == []
