"""`sudo ./run screenshots`: pictures for docs/ of the status page and of `top`, of a gateway with traffic in a lab.

They show what the programs show, but for three words of the machine: its name, its kernel's release, a path.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from citygate.lab.call import Call
from citygate.lab.gateway import METRICS, Gateway
from citygate.lab.playing import play_named
from citygate.lab.topology import GATEWAY, Lab, Party, host, party
from tests.browser import PATIENCE, browser, colours, resize
from tests.conftest import ROOT
from tests.terminal import Terminal

DOCS = ROOT / "docs"
PAGE = 1280, 970  # CSS pixels
SCREEN = 80, 20  # characters
INTERNET = host("internet")
# Each with a telephone of its own in the internet, over IPv4 and IPv6.
CALLERS = ("shenzhen", "household", "shanghai", "shanghai-ftz", "beijing")
# Flows that come and go beside the calls.
VISITS = (
    ("http", "shenzhen"), ("tls", "shanghai"), ("bittorrent", "beijing"), ("openvpn", "shenzhen"),
    ("tls", "shenzhen"), ("wireguard", "beijing"), ("dns", "shanghai"), ("sip", "shanghai"), ("rtp", "beijing"),
    ("bittorrent", "shanghai-ftz"), ("openvpn", "shanghai-ftz"), ("http", "beijing"), ("ssh", "shanghai"),
)  # fmt: skip


@contextmanager
def traffic(lab: Lab) -> Iterator[None]:
    """A city's evening: calls that go on, and everything else now and again."""
    with ExitStack() as ending:
        for number, caller in enumerate(CALLERS):
            callee = Party(f"telephone {number}", INTERNET.name, INTERNET.ipv4[number], INTERNET.ipv6[number])
            for family in (4, 6):
                seed = 2 * number + family
                ending.enter_context(Call(lab, "skypeout", party(caller), callee, family, seed))
                if caller != "household":
                    ending.enter_context(Call(lab, "skype", party(caller), callee, family, 100 + seed))
        over = threading.Event()
        visiting = threading.Thread(target=_visit, args=(lab, over))
        visiting.start()
        ending.callback(visiting.join)
        ending.callback(over.set)
        yield


def _visit(lab: Lab, over: threading.Event) -> None:
    seeds = itertools.count(1)
    for (name, caller), family in itertools.cycle(itertools.product(VISITS, (4, 6))):
        if over.wait(0.02):
            return
        play_named(lab, name, party(caller), party(INTERNET.name), family=family, seed=next(seeds))


def photograph_page(page: Chrome, gateway: Gateway) -> None:
    page.get(f"http://{METRICS}/")
    time.sleep(15.0)  # every service has been there by then
    release = os.uname().release
    words = {
        os.uname().nodename: "gateway",
        release: re.sub(r"^(\d+\.\d+).*", r"\1", release),
        str(gateway.directory): "/etc/citygate",
    }
    for scheme in ("light", "dark"):
        colours(page, scheme)
        file = DOCS / f"status-page-{scheme}.png"
        deadline = time.monotonic() + PATIENCE
        while not _photograph(page, words, file):
            assert time.monotonic() < deadline, "the page is never as it should be"


def _photograph(page: Chrome, words: dict[str, str], file: Path) -> bool:
    """Whether nothing was drawn anew between the words' change and the picture."""
    page.execute_script(
        """
        for (const element of document.querySelectorAll("#policy, dd"))
          for (const [from, to] of Object.entries(arguments[0]))
            element.textContent = element.textContent.replace(from, to);
        """,
        words,
    )
    page.save_screenshot(str(file))
    shown = page.find_element(By.TAG_NAME, "body").text
    return not any(word in shown for word in words) and all(f"{sign}\n" in shown for sign in "✓✕◇")


def photograph_top(page: Chrome, gateway: Gateway, directory: Path) -> None:
    imports = "import sys; from pathlib import Path; from citygate.tools.top import top"
    width, height = SCREEN
    with Terminal(f"{imports}; sys.exit(top(Path({str(gateway.control)!r})))", width, height) as terminal:
        terminal.until(lambda lines: {"bittorrent", "openvpn"} <= {*" ".join(lines).split()}, "many services")
        drawn = terminal.screen()
        terminal.press("q")
        terminal.end()
    console = Console(record=True, width=width, file=(directory / "top.txt").open("w"), force_terminal=True)
    console.print(Text.from_ansi(drawn.replace("\r\n", "\n").rstrip()))
    # Fonts of this machine, none from elsewhere.
    shape = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    shape = shape.replace("Fira Code", "DejaVu Sans Mono")
    picture = directory / "top.svg"
    picture.write_text(console.export_svg(title="citygate top", code_format=shape))
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture.read_text())
    assert found
    page.get(picture.as_uri())
    resize(page, round(float(found[1])), round(float(found[2])))
    page.save_screenshot(str(DOCS / "top.png"))


def main() -> None:
    with ExitStack() as ending:
        directory = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="citygate-screenshots-")))
        lab = ending.enter_context(Lab(f"pictures-{os.getpid()}"))
        gateway = ending.enter_context(Gateway.with_policies(lab, directory, ROOT / "policies"))
        ending.enter_context(traffic(lab))
        with lab.inside(GATEWAY), browser(directory / "profile", *PAGE) as page:
            photograph_page(page, gateway)
            photograph_top(page, gateway, directory)
    for picture in ("status-page-light", "status-page-dark", "top"):
        subprocess.run(["optipng", "-quiet", "-strip", "all", DOCS / f"{picture}.png"], check=True)


if __name__ == "__main__":
    main()
