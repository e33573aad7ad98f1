"""`python -m demo.screenshots`: the pictures of the README, taken of a demo of its own in the system's Chromium."""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ingest.settings import ROOT

SIGN_IN = re.compile(r"console (http://\S+)")
PHONE = re.compile(r"driver's page (http://\S+)")


def main(argv: list[str] | None = None) -> int:
    """Run the demo for a while, and take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m demo.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--after", type=float, default=60.0, help="seconds of the demo before the first picture")
    parser.add_argument("--demo", nargs="*", default=[], help="what the demo is told besides")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-u", "-m", "demo", "--no-browser", "--drivers", "8", "--orders", "70", *arguments.demo]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as running:
        try:
            pages = _pages(running)
            time.sleep(arguments.after)
            _take(*pages, arguments.out)
        finally:
            running.send_signal(signal.SIGINT)
            running.communicate()
    return 0


def _pages(running: subprocess.Popen[str]) -> tuple[str, str]:
    """Where the console and a driver's page are, signed in."""
    text = ""
    assert running.stdout is not None
    for line in running.stdout:
        text += line
        found = SIGN_IN.search(text), PHONE.search(text)
        if found[0] and found[1]:
            return found[0][1], found[1][1]
    raise SystemExit(f"the demo did not start:\n{text}")


def _take(console: str, phone: str, out: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        light = _window(browser, console, "light", out / "console.png")
        light.click("#feed li:has(.change:has-text('+')) button")
        light.wait_for_selector("body.history")
        _settle(light)
        light.screenshot(path=out / "version.png")
        _window(browser, console, "dark", out / "console-dark.png")
        pocket = browser.new_context(viewport={"width": 390, "height": 700}, device_scale_factor=2, is_mobile=True, has_touch=True)
        page = pocket.new_page()
        page.goto(phone)
        page.wait_for_selector("#next h2")
        _settle(page)
        page.screenshot(path=out / "driver.png")
        browser.close()


def _window(browser: Any, url: str, theme: str, path: Path) -> Any:
    context = browser.new_context(viewport={"width": 1440, "height": 860}, color_scheme=theme)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#routes li button")
    _settle(page)
    page.screenshot(path=path)
    return page


def _settle(page: Any) -> None:
    """Until tiles and lists are drawn."""
    page.wait_for_timeout(3000)


if __name__ == "__main__":
    sys.exit(main())
