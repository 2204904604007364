"""Headless Chromium by the WebDriver protocol: chromedriver and the standard library are all it takes."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1400,1000"]


class Browser:
    """One window; elements are found by XPath and waited for."""

    def __init__(self, address: str) -> None:
        self._address = address
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert chromium, "Chromium is required: apt-get install chromium chromium-driver"
        wanted = {
            "browserName": "chrome",
            "pageLoadStrategy": "none",
            "goog:chromeOptions": {"binary": chromium, "args": OPTIONS},
        }
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/{session['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._address}/session{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self._call("POST", f"{self._session}/url", {"url": url})

    def find(self, xpath: str, seconds: float = 300) -> str:
        """Return the element, as soon as the page shows it."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = self._call("POST", f"{self._session}/element", {"using": "xpath", "value": xpath})
                return str(found[ELEMENT])
            except urllib.error.HTTPError:
                if time.monotonic() > end:
                    raise AssertionError(f"the page never showed {xpath}") from None
                time.sleep(0.5)

    def click(self, xpath: str, seconds: float = 300) -> None:
        """Click the element, as soon as it is there and nothing covers it."""
        end = time.monotonic() + seconds
        while True:
            element = self.find(xpath, seconds)
            try:
                self._call("POST", f"{self._session}/element/{element}/click", {})
            except urllib.error.HTTPError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
            else:
                return

    def write(self, xpath: str, text: str) -> None:
        self._call("POST", f"{self._session}/element/{self.find(xpath)}/value", {"text": text})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def close(self) -> None:
        self._call("DELETE", self._session)


@contextmanager
def browser(port: int) -> Iterator[Browser]:
    """Start chromedriver on a port of this machine and give a window; both are gone afterwards."""
    driver = shutil.which("chromedriver")
    assert driver, "chromedriver is required: apt-get install chromium-driver"
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for_status(address)
        window = Browser(address)
        try:
            yield window
        finally:
            window.close()
    finally:
        process.terminate()
        process.wait()


def _wait_for_status(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"{address}/status", timeout=5):
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
