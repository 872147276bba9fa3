"""The status page itself: one file, sent as it is, under a policy by which it runs its own script and nothing else."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from citygate.web.answer import Answer, Page, Request


def page() -> Page:
    """What a browser gets for the address without a path."""
    text = (files(__package__) / "page.html").read_text()
    body = text.encode()
    packed = gzip.compress(body, mtime=0)
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy(text)),
        ("Cache-Control", "no-cache"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "Accept-Encoding"),
    )

    def answer(request: Request) -> Answer:
        if request.gzip:
            return Answer(200, (*headers, ("Content-Encoding", "gzip")), packed)
        return Answer(200, headers, body)

    return answer


def policy(text: str) -> str:
    """The Content-Security-Policy (W3C, level 3): only the page's own script and style, named by their hashes.

    Nothing from elsewhere, nothing sent elsewhere, no frame around it, and no text of the daemon's that becomes HTML.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashes('script', text)}",
            f"style-src {_hashes('style', text)}",
            "img-src data:",  # the empty icon
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hashes(element: str, text: str) -> str:
    found = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(each.encode()).digest()).decode()}'" for each in found)
