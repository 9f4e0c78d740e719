# SPDX-License-Identifier: Apache-2.0
"""Drives a report in headless Chromium, from file://, without a network.

    tests/page/page_test.py bench.html FOLDER      screenshots go to FOLDER

Checks: nothing on the console, no request but for the file itself, every chart drawn, the price field
changes the cost, the tables sort by mouse and keyboard, nothing sticks out on a phone, light and dark
and print can be told apart, and headline figures are those of the JSON inside.
"""
import json
import pathlib
import sys

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"


def check(holds, what):
    if not holds:
        sys.exit(f"page: {what}")


def open_page(browser, file, **settings):
    context = browser.new_context(**settings)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
    page.wait_for_timeout(200)
    check(not said, f"the console says {said}")
    check(all(url == file.as_uri() or url.startswith("data:") for url in asked),
          f"asks for {asked}")
    return page


def column(page, table, index):
    return page.eval_on_selector_all(f"{table} tbody tr td:nth-child({index})",
                                     "cells => cells.map(c => c.textContent)")


def drive_price(page, report):
    rate = max(r["images_per_second"] for r in report["results"]
               if r["kind"] == ("real" if any(r["kind"] == "real" for r in report["results"])
                                else "device"))
    for price in (3.6, 0.36):
        page.fill("#price", str(price))
        shown = float(page.text_content("#tile-cost").replace("$", "").replace(",", ""))
        expected = price * 1e6 / 3600 / rate
        check(abs(shown - expected) <= 0.005001 + 1e-6 * expected,
              f"${price}/h gives {shown}, not {expected}")
    page.fill("#price", "-1")
    check(page.text_content("#tile-cost") == "–", "a negative price has a cost")
    page.fill("#price", "0.5")


def drive_tables(page):
    table = "#throughput > .scroll"
    rates = [float(t.replace(",", "")) for t in column(page, table, 3)]
    button = page.locator(f"{table} thead th:nth-child(3) button").first
    button.click()
    up = [float(t.replace(",", "")) for t in column(page, table, 3)][:len(rates)]
    check(up == sorted(rates), f"a click does not sort: {up}")
    button.focus()
    page.keyboard.press("Enter")
    down = [float(t.replace(",", "")) for t in column(page, table, 3)][:len(rates)]
    check(down == sorted(rates, reverse=True), f"the keyboard does not sort: {down}")
    sort = page.get_attribute(f"{table} thead th:nth-child(3)", "aria-sort")
    check(sort == "descending", f"aria-sort is {sort}")


def drive_sections(page, report):
    """What was measured is shown, and figures of it are those of the JSON."""
    shown = page.text_content("main").replace(",", "")
    for key, words in (("scenarios", "MLPerf-like"), ("rates", "The knee"), ("threads", "efficiency"),
                       ("devices", "Scaling over devices"), ("sustained", "Sustained"), ("cold_start", "Cold start"),
                       ("layers", "products/byte"), ("peers", "Peers in the same run")):
        check(key not in report or words in shown, f"{key} is measured, but not shown")
    ceiling = report.get("ceiling", {}).get("gmac_per_second", 0)
    if ceiling:
        check(f"{ceiling:.1f} GMAC/s" in shown, f"the ceiling of {ceiling:.1f} GMAC/s is not shown")
    for result in report["results"]:
        if "stages" in result and result["stages"]["images"]:
            for stage in ("read", "decode", "resize", "copy", "infer", "top5"):
                if result["stages"][f"{stage}_seconds"] is not None:
                    name = stage.replace("top5", "top-5")
                    check(f"{name} ms" in shown, f"the stage {stage} is not shown")
        for part in result.get("round_series", []):
            check(part["disturbed"].replace(",", "") in shown, f"not shown: {part['disturbed']}")
    sustained = report.get("sustained", {})
    if "images_per_second" in sustained:
        check(f"{sustained['images_per_second']:.1f} images/s over" in shown,
              "the sustained rate is not shown")
    check(report.get("devices", {}).get("note", "").replace(",", "") in shown, "no note on devices")
    long = sustained.get("energy", {})
    for kind in [*report.get("energy", {}).values(), long]:
        for missing in kind.get("missing", []):
            check(missing.replace(",", "") in shown, f"not shown: {missing}")
        if "total" in kind:
            joules = kind["total"]["joules_an_image"]
            check(f"{joules:.{4 if joules >= 0.01 else 6}f}" in shown, "joules an image are not shown")
    if "total" in long:
        check("(the sustained run)" in shown, "the power of the sustained run is not shown")
    for peer in report.get("peers", {}).get("results", []):
        check(peer["system"] in shown and peer["precision"] in shown, f"{peer['system']} is not shown")
    for entry in report.get("peers", {}).get("left_out", []):
        check(entry["reason"].replace(",", "") in shown, f"not shown: {entry['reason']}")


def drawn(page):
    blank = page.evaluate("""() => [...document.querySelectorAll('canvas')].filter(c => {
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      return !d.some(v => v !== 0); }).map(c => c.getAttribute('aria-label'))""")
    check(not blank, f"charts without anything in them: {blank}")
    unnamed = page.evaluate("""() => [...document.querySelectorAll('canvas, input, select')].filter(
      e => !e.getAttribute('aria-label') && !(e.labels && e.labels.length)).length""")
    check(unnamed == 0, f"{unnamed} elements without a name")


def main():
    file, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    check(file.stat().st_size < 3_000_000, f"{file.stat().st_size} bytes; 3,000,000 are allowed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = open_page(browser, file, viewport={"width": 1280, "height": 900})
        report = json.loads(page.text_content("#data"))
        drawn(page)
        text = page.text_content("body")
        text = text.replace(page.text_content("#data"), "")
        for script in page.query_selector_all("script"):
            text = text.replace(script.text_content(), "")
        for wrong in ("[object", "undefined", "NaN"):
            check(wrong not in text, f"shows {wrong}")
        check(not page.text_content("header").strip().endswith("null"), "shows null")
        page.screenshot(path=folder / "light.png", full_page=True)
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        if "results" in report:
            drive_sections(page, report)
            drive_price(page, report)
            drive_tables(page)
            best = max(r["images_per_second"] for r in report["results"])
            check(f"{best:.1f}" in page.text_content("main").replace(",", ""),
                  f"the page does not show {best:.1f} images/s")
        page.emulate_media(media="print")
        check(not page.is_visible("nav"), "the contents are printed")
        page.pdf(path=folder / "print.pdf")
        page = open_page(browser, file, viewport={"width": 1280, "height": 900},
                         color_scheme="dark")
        page.screenshot(path=folder / "dark.png", full_page=True)
        check(page.evaluate("getComputedStyle(document.body).backgroundColor") != light,
              "dark is as light")
        page = open_page(browser, file, viewport={"width": 390, "height": 844},
                         device_scale_factor=2)
        width = page.evaluate("document.documentElement.scrollWidth")
        check(width <= 390, f"sticks out on a phone: {width} pixels")
        page.screenshot(path=folder / "phone.png", full_page=True)
        browser.close()
    print(f"page: in order; screenshots in {folder}")


if __name__ == "__main__":
    main()
