"""Headless Chromium, driven by its own driver: Debian's packages `chromium` and `chromium-driver`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PROGRAMS = ("chromium", "chromedriver")
PATIENCE = 60.0
"""Seconds that anything may take that must happen; a slow machine is not a failing test."""


def require_browser() -> None:
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian packages chromium and chromium-driver)")


@contextmanager
def browser(profile: Path, width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
    """A window of that size, in the network namespace that the calling thread is in. ``profile``: a new directory.

    It speaks to nobody but the pages that it is sent to.
    """
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "disable-dev-shm-usage", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync", "no-default-browser-check",
        f"window-size={width},{height}", f"user-data-dir={profile}", "hide-scrollbars", "force-device-scale-factor=1",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        resize(driver, width, height)
        yield driver
    finally:
        driver.quit()


def colours(driver: webdriver.Chrome, scheme: str) -> None:
    """``dark`` or ``light``, as the reader's system would say."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def resize(driver: webdriver.Chrome, width: int, height: int) -> None:
    """The page's own width and height, in CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
