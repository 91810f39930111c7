"""What the tests in a real browser share; their window is the fixture `desk` of conftest.py."""

import shutil
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MARKS = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.browser,
    pytest.mark.models,
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
WAIT = 30_000  # milliseconds


def require_accessible(page: Any) -> None:
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()


def press_on(page: Any, role: str, name: str) -> None:
    """Reach it with Tab, as somebody without a pointer does, and press Enter."""
    wanted = page.get_by_role(role, name=name)
    wanted.wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return page.keyboard.press("Enter")
    raise AssertionError(f"no way to {name} by keyboard")
