"""The status page as it is sent, and that its policy fits it. What it does: tests/e2e/test_status_page.py."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from pathlib import Path

from citygate.web import front
from citygate.web.answer import Request

FILE = Path(front.__file__).parent / "page.html"


def test_the_file_is_sent_as_it_is() -> None:
    plain, packed = front.page()(Request()), front.page()(Request(gzip=True))
    assert plain.body == FILE.read_bytes() == gzip.decompress(packed.body)
    assert dict(packed.headers) == dict(plain.headers) | {"Content-Encoding": "gzip"}
    assert dict(plain.headers)["Content-Type"] == "text/html; charset=utf-8"
    assert len(plain.body) < 22_000


def test_its_policy_lets_it_run_its_own_script_alone() -> None:
    text = FILE.read_text()
    rules = dict(rule.split(" ", 1) for rule in front.policy(text).split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert len(rules["style-src"].split()) == 1
    assert "unsafe" not in front.policy(text)


def test_it_has_nothing_from_elsewhere_and_makes_no_html_of_text() -> None:
    text = FILE.read_text()
    assert re.findall(r"""(?:src|href|action)=["'](?!data:,|#)""", text) == []
    assert not re.search(r"https?://|url\(|@import|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    assert not re.search(r"\son\w+=|\sstyle=", text)  # handlers and styles that the policy would refuse
