"""Who may see the page, and what it says where its monitor is gone, in a real browser."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bistill.monitor.web import server as serving
from bistill.monitor.web.server import WebServer
from tests.monitor.web.browser import PROGRAM, Browser
from tests.monitor.web.conftest import Monitor, opened

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


def test_who_has_no_key_or_uses_another_name(browser: Browser, monitor: Monitor) -> None:
    address = monitor.server.address
    browser.call("Network.clearBrowserCookies")
    place = urlsplit(address)
    for opened_address, said in (
        (f"http://{place.netloc}/", "Open the address"),
        (f"http://stranger.localhost:{place.port}/?{place.query}", "not one of the monitor's"),
    ):
        browser.open(opened_address)
        browser.wait_for(f'document.body?.innerText.includes("{said}")')
    browser.open(address)  # neither of them has spent it
    browser.wait_for("document.querySelectorAll('#losses canvas').length === 2")


def test_a_monitor_that_ends_is_missed(browser: Browser, tmp_path: Path) -> None:
    monitor = Monitor(tmp_path)
    browser.speak("en-US")
    opened(browser, monitor)
    monitor.close()
    browser.wait_for("document.querySelector('#connection').textContent.startsWith('Connection lost')")
    port = urlsplit(monitor.server.address).port
    assert port is not None
    with WebServer(tmp_path, "127.0.0.1", port):  # another monitor, which did not let this browser in
        browser.wait_for("document.querySelector('#connection').textContent.startsWith('The monitor has ended')")


def test_a_connection_that_died_in_silence_is_missed(
    browser: Browser, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a tunnel hangs or the monitor's process is stopped: no end of the connection reaches the browser."""
    monkeypatch.setattr(serving, "ALIVE_SECONDS", 0.3)
    browser.speak("en-US")
    browser.resize(1280, 900)
    page = opened(browser, monitor)
    lost = "document.querySelector('#connection').textContent.startsWith('Connection lost at ')"
    header = "getComputedStyle(document.querySelector('header')).backgroundColor"
    main = "getComputedStyle(document.querySelector('main')).filter"
    before = page.ask(header)
    assert not page.ask(lost) and page.ask(main) == "none"
    assert monitor.server.loop is not None
    monitor.server.loop.call_soon_threadsafe(time.sleep, 3)
    page.wait_for(lost)
    assert page.ask(header) != before and page.ask(main) == "grayscale(1)"
    page.wait_for("document.querySelector('#connection').textContent === 'live'")
    assert page.ask(header) == before and page.ask(main) == "none"
