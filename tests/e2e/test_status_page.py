"""The status page in headless Chromium, of a running gateway with traffic."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from citygate.lab.gateway import METRICS, Gateway
from citygate.lab.topology import GATEWAY, Lab
from citygate.tools.top import short
from tests.browser import PATIENCE, browser, colours, require_browser, resize
from tests.e2e.conftest import StartGateway, Traffic
from tests.e2e.tools import region, until

Matrix = dict[tuple[str, str], dict[str, str]]
"""(row, column) to what is shown: sign to figure."""

READ = """
const columns = [...document.querySelectorAll("thead button")].map(each => each.textContent.replace(/ [▾▴]$/, ""));
return [...document.querySelectorAll("tbody tr")].flatMap(row => [...row.cells].slice(1).map((cell, place) => [
  row.cells[0].textContent, columns[place + 1],
  [...cell.querySelectorAll(".figure")].map(
    figure => [figure.firstElementChild?.textContent.trim() ?? "", figure.lastChild.textContent]),
]));
"""
WORDS = {"passed": "✓", "blocked": "✕", "throttled": "◐", "would_block": "◇"}


@pytest.fixture
def page(lab: Lab, tmp_path: Path) -> Iterator[Chrome]:
    """A browser in the gateway's namespace. The test goes on in there too, as the driver is spoken to over TCP."""
    require_browser()
    with lab.inside(GATEWAY), browser(tmp_path / "profile") as driver:
        yield driver


@pytest.fixture
def cities(gateway: StartGateway, examples: Path) -> Gateway:
    """A gateway under the example policies."""
    texts = {path.stem: path.read_text() for path in examples.glob("regions/*.yaml")}
    return gateway(texts, providers=(examples / "providers.yaml").read_text())


def visit(page: Chrome) -> None:
    page.get(f"http://{METRICS}/")


def waits(condition: Callable[[], bool], what: str) -> None:
    """Until so; the page may draw anew under the eyes of who looks."""

    def holds() -> bool:
        try:
            return condition()
        except StaleElementReferenceException:
            return False

    until(holds, what, PATIENCE)


def says(page: Chrome, place: str, text: str) -> None:
    waits(lambda: text in page.find_element(By.ID, place).text, f"{text!r} in {place}")


def matrix(page: Chrome) -> Matrix:
    return {(row, column): dict(figures) for row, column, figures in page.execute_script(READ)}


def rows(page: Chrome) -> list[str]:
    """Names of the regions, from the top."""
    return [each for each in dict.fromkeys(row for row, _ in matrix(page)) if not each.startswith("all")]


def figure(page: Chrome, row: str, column: str, sign: str) -> float:
    """As shown; 0 where there is none."""
    shown = matrix(page).get((row, column), {}).get(sign, "0")
    return float(shown.replace("k", "e3").replace("M", "e6"))


def press(page: Chrome, *keys: str) -> None:
    ActionChains(page).send_keys(*keys).perform()


def complaints(page: Chrome) -> list[Any]:
    """What stands in the console: errors of the script, breaches of the content security policy."""
    return [each["message"] for each in page.get_log("browser")]  # type: ignore[no-untyped-call]


def totals(gateway: Gateway) -> dict[tuple[str, str], dict[str, str]]:
    """``citygate_packets_total`` as the page would show it."""
    counted: dict[tuple[str, str, str], float] = {}
    for (name, labels), value in gateway.metrics().items():
        if name == "citygate_packets_total":
            has: Mapping[str, str] = dict(labels)
            key = has["region"] or "(none)", has["service"] or "(no name yet)", WORDS[has["verdict"]]
            counted[key] = counted.get(key, 0) + value
    found: dict[tuple[str, str], dict[str, str]] = {}
    for (row, column, sign), value in counted.items():
        found.setdefault((row, column), {})[sign] = short(value)
    return found


def test_the_same_call_from_two_cities(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    calls = [
        traffic.call("skypeout", caller, family=family, seed=seed)
        for seed, (caller, family) in enumerate([("shenzhen", 4), ("shanghai", 6)], start=1)
    ]
    visit(page)
    # A frame every 20 ms from each end; nothing comes back to who is refused.
    waits(lambda: 20 < figure(page, "shenzhen", "skypeout", "✕") < 80, "what Shenzhen refuses")
    waits(lambda: 40 < figure(page, "shanghai", "skypeout", "✓") < 160, "what Shanghai lets through")
    assert "✕" not in matrix(page)["shanghai", "skypeout"]
    says(page, "state", "All is well")
    for call in calls:
        call.stop()
    page.find_element(By.CSS_SELECTOR, "#unit option[value=total]").click()
    waits(
        lambda: {key: cell for key, cell in matrix(page).items() if key in totals(cities)} == totals(cities),
        "the counts of /metrics",
    )
    assert ("shenzhen", "skypeout") in totals(cities)
    page.find_element(By.CSS_SELECTOR, "#unit option[value=bits]").click()
    waits(lambda: figure(page, "shanghai", "skypeout", "✓") == 0, "no bits any more")
    facts = page.find_element(By.ID, "facts").text
    (status,) = cities.ask("status")
    assert f"{status['policy']['revision']}, regions: 4, zones: 6" in facts
    assert "queue 0\n0 of 8,192 packets wait" in facts and "not looked at" in facts
    assert complaints(page) == []


def test_by_keyboard(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    traffic.call("skypeout", "shanghai", family=6)
    traffic.call("skype", "shenzhen", family=4)
    visit(page)
    waits(lambda: {"skype", "skypeout"} <= {column for _, column in matrix(page)}, "both services")

    press(page, "p", "/")  # one key alone acts on what has the focus, which is nothing yet (WCAG 2.1.4)
    assert page.switch_to.active_element.tag_name == "body"
    assert page.find_element(By.ID, "pause").get_attribute("aria-pressed") == "false"
    assert [hint.is_displayed() for hint in page.find_elements(By.TAG_NAME, "kbd")] == [False, False]
    tab(page, "Pause p")
    assert [hint.is_displayed() for hint in page.find_elements(By.TAG_NAME, "kbd")] == [True, True]
    press(page, "/", "SHANG")
    waits(lambda: rows(page) == ["shanghai", "shanghai-ftz"], "the filter")
    press(page, Keys.ESCAPE)
    waits(lambda: len(rows(page)) == 4, "all regions again")
    press(page, "skypeout")
    waits(lambda: rows(page) == ["shanghai"] and "skype" not in {column for _, column in matrix(page)}, "a service")
    press(page, Keys.ESCAPE)

    assert {"Pause p", "region"} <= {*tab(page, "skypeout")}
    press(page, Keys.ENTER)
    for order, first in (("descending", "shanghai"), ("ascending", "shenzhen")):
        waits(lambda order=order: sorted_by(page) == ("skypeout", order), order)  # type: ignore[misc]
        waits(lambda first=first: rows(page)[0] == first, f"{first} first")  # type: ignore[misc]
        assert "skypeout" in focused(page), "the focus stays where it was"
        press(page, Keys.ENTER)

    press(page, "p")
    says(page, "note", "paused")
    asked = answers(page)
    assert page.execute_async_script(f"setTimeout(arguments[0], {2.5 * POLL_MS}, true)")
    assert answers(page) <= asked + 1  # one may have been under way
    press(page, "p")
    waits(lambda: answers(page) > asked + 1, "the page to go on")
    assert complaints(page) == []


POLL_MS = 2000


def tab(page: Chrome, name: str) -> list[str]:
    """Go on to what begins with ``name``; what had the focus on the way, and has it now."""
    passed: list[str] = []
    while not (passed and passed[-1].startswith(name)):
        press(page, Keys.TAB)
        passed.append(focused(page))
        assert len(passed) < 20, passed
    return passed


def focused(page: Chrome) -> str:
    """The text of what has the focus, which is to be seen."""
    element = page.switch_to.active_element
    assert element.value_of_css_property("outline-style") == "solid", element.text
    return element.text


def sorted_by(page: Chrome) -> tuple[str, str]:
    (cell,) = page.find_elements(By.CSS_SELECTOR, "th[aria-sort]")
    return re.sub(r" [▾▴]$", "", cell.text), str(cell.get_attribute("aria-sort"))


def answers(page: Chrome) -> int:
    """How often the daemon has been asked."""
    return int(page.execute_script("return performance.getEntriesByType('resource').length"))


def test_what_is_read_stays_where_it_is(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    """A screen reader's place and a selection lie in elements: new figures must not put others there."""
    traffic.call("skypeout", "shanghai", family=4)
    visit(page)
    waits(lambda: figure(page, "shanghai", "skypeout", "✓") > 20, "the call")
    page.execute_script("""
        window.seen = [...document.querySelectorAll("thead *, tbody *, #facts *")];
        getSelection().setBaseAndExtent(document.querySelector("tbody tr"), 0, document.querySelector("#facts"), 2);
    """)
    counted, asked = page.find_element(By.ID, "facts").text, answers(page)
    waits(lambda: answers(page) > asked + 2, "new figures")
    waits(lambda: page.find_element(By.ID, "facts").text != counted, "new facts")
    waits(lambda: figure(page, "shanghai", "skypeout", "✓") > 20, "the call still")
    gone = page.execute_script("return seen.filter(each => !each.isConnected).map(each => each.outerHTML)")
    assert gone == []
    selected = page.execute_script("return getSelection().toString()")
    assert "shanghai" in selected and "daemon" in selected


def test_a_fault_in_drawing_is_told_as_no_other(page: Chrome, cities: Gateway) -> None:
    visit(page)
    says(page, "state", "All is well")
    page.execute_script("window.drawRow = () => { throw new TypeError('a fault') }")
    asked = answers(page)
    waits(lambda: answers(page) > asked + 2, "the page to go on asking")
    assert "✓ All is well" in page.find_element(By.ID, "state").text
    assert any("a fault" in message for message in complaints(page))
    cities.kill()
    says(page, "state", "The daemon does not answer: no connection.")
    cities.start()
    says(page, "state", "All is well")


def test_nobody_is_asked_while_nobody_looks(page: Chrome, cities: Gateway) -> None:
    visit(page)
    says(page, "state", "All is well")
    look = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    look += "document.dispatchEvent(new Event('visibilitychange'))"
    page.execute_script(look, True)
    asked = answers(page)
    assert page.execute_async_script(f"setTimeout(arguments[0], {2.5 * POLL_MS}, true)")
    assert answers(page) <= asked + 1  # one may have been under way
    page.execute_script(look, False)
    waits(lambda: answers(page) > asked + 1, "the page to go on")


def test_a_daemon_that_dies_and_comes_back(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    traffic.call("skypeout", "shanghai", family=4)
    visit(page)
    waits(lambda: figure(page, "shanghai", "skypeout", "✓") > 20, "the call")
    assert complaints(page) == []
    cities.kill()
    says(page, "state", "The daemon does not answer: no connection.")
    assert page.title.startswith("✕")
    cities.start()
    says(page, "state", "All is well")
    assert page.title.startswith("✓")
    # The kernel has gone on, and what it counted meanwhile is no rate.
    waits(lambda: 20 < figure(page, "shanghai", "skypeout", "✓") < 240, "the call again")


def test_a_policy_that_is_refused(page: Chrome, gateway: StartGateway) -> None:
    running = gateway({"shenzhen": region("match: {service: skypeout}, action: reject")})
    visit(page)
    says(page, "state", "All is well")
    odd = "<img src=x onerror=alert(1)><b>bold</b>"
    running.edit("shenzhen", region(f"match: {{service: {odd!r}}}, action: reject"))
    says(page, "state", "Something is wrong")
    (status,) = running.ask("status")
    waits(lambda: page.find_element(By.CSS_SELECTOR, "#wrong li").text == status["wrong"][0], "the daemon's words")
    says(page, "problems", odd)
    assert page.find_elements(By.CSS_SELECTOR, "img, b") == []
    running.edit("shenzhen", region())
    says(page, "state", "All is well")
    assert not page.find_element(By.ID, "wrong").is_displayed()
    assert complaints(page) == []


def test_a_table_that_is_taken_away(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    traffic.call("skypeout", "shanghai", family=6)
    visit(page)
    waits(lambda: figure(page, "shanghai", "skypeout", "✓") > 20, "the call")
    assert cities.lab.run("gw", ["nft", "flush", "ruleset"]).returncode == 0
    waits(lambda: cities.total("citygate_policy_reloads_total", result="restored") == 1, "the table made again")
    waits(lambda: 20 < figure(page, "shanghai", "skypeout", "✓") < 240, "the call again")
    assert complaints(page) == []


def test_for_everybody(page: Chrome, cities: Gateway, traffic: Traffic) -> None:
    """By axe-core's rules (WCAG 2, A and AA, and best practices): contrast in both themes, names, roles, tables."""
    traffic.call("skypeout", "shenzhen", family=4)
    traffic.call("skypeout", "shanghai", family=6)
    visit(page)
    waits(lambda: figure(page, "shenzhen", "skypeout", "✕") > 0, "a refused call")
    cities.edit("shenzhen", "nonsense")
    says(page, "state", "Something is wrong")
    page.execute_script((importlib.resources.files("axe_core_python") / "axe.min.js").read_text())
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            colours(page, scheme)
            resize(page, width, 844)
            found = page.execute_async_script("axe.run().then(arguments[0])")
            assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
            assert len(found["passes"]) > 20
            wide = "return [document.documentElement.scrollWidth, innerWidth]"
            assert len(set(page.execute_script(wide))) == 1, f"the page is wider than {width}"


def test_a_thousand_regions(page: Chrome, gateway: StartGateway, traffic: Traffic) -> None:
    networks = [f'[10.{100 + n // 256}.{n % 256}.0/24, "fd01:{n:x}::/48"]' for n in range(999)]
    texts = {f"r{n:04}": f"region: region-{n:04}\nsubscribers: {each}\nrules: []\n" for n, each in enumerate(networks)}
    gateway(texts | {"shenzhen": region("match: {service: skypeout}, action: reject")})
    traffic.call("skypeout", "shenzhen", family=6)
    visit(page)
    waits(lambda: figure(page, "shenzhen", "skypeout", "✕") > 0, "a refused call")
    assert rows(page)[:2] == ["shenzhen", "region-0000"]
    says(page, "more", f"{1000 - len(rows(page))} are left out")
    page.find_element(By.ID, "more").click()
    assert len(rows(page)) == 125
    press(page, "/", "region-0998")
    waits(lambda: rows(page) == ["region-0998"], "the filter")
    assert not page.find_element(By.ID, "more").is_displayed()
    assert complaints(page) == []
