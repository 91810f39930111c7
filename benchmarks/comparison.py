"""The examiner's comparison screen in a real browser: 20 candidates of 3300 x 4400 pixels through the running system.

First paint is from the click on "Examine the next search" to the first paint of the comparison, and to both photographs
being on the screen, decoded. A switch is from the key J to the next candidate's photograph being on the screen, for an
examiner who looks at each for `--look` seconds: the time in which the next ones are fetched.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gallery

SIDES = (3300, 4400)
GOAL = {"first paint": 1000, "switch": 100}  # ms
FASTER = """async () => {
  const shown = () => {
    const image = document.querySelector('[data-pane=candidate] [data-view] img');
    const current = document.querySelector('.filmstrip [aria-current]');
    return image?.complete && image.naturalWidth && image.src.endsWith(current.dataset.image) &&
      document.querySelector('[data-wait]').hidden;
  };
  const started = performance.now();
  const before = document.querySelector('.filmstrip [aria-current]');
  document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}));
  if (document.querySelector('.filmstrip [aria-current]') === before) return null;
  while (!shown()) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - started;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=float, default=2.0, help="seconds at each candidate (2)")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    folder = gallery.photographs("lfw")
    gallery.set_up()
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)
    figures = measure(folder, options.look, options.chromium)
    for name, goal in GOAL.items():
        values = figures[name]
        p50, p95 = (gallery.percentile(values, share) for share in (0.5, 0.95))
        print(f"{name}: n = {len(values)}, p50 {p50:.0f} ms, p95 {p95:.0f} ms; goal {goal} ms")
    print(f"both photographs on the screen: {figures['both shown'][0]:.0f} ms after the click")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(folder: Path, look: float, chromium: str) -> dict[str, list[float]]:
    from serving import records, running

    from mugsearch.accounts.models import Role
    from mugsearch.gallery import importing, manifest, sources
    from mugsearch.gallery.models import ImportRun, Template
    from mugsearch.probes.models import Search

    staff = records.hire()
    with tempfile.TemporaryDirectory() as made:
        large = enlarged(folder, Path(made), 24)
        importing.run_here(
            by=staff.of_role[Role.RECORDS],
            agency=staff.agency,
            several=ImportRun.Several.CENTRE,
            manifest=manifest.read((large / "manifest.csv").read_bytes()),
            source=sources.Folder(large),
        )
        print(f"{Template.objects.count()} photographs of {SIDES[0]} x {SIDES[1]} in the gallery", flush=True)
        with running.system(large / "log") as address:
            client = running.Client.of(staff.of_role[Role.INVESTIGATOR], address)
            took = running.Searching(client, sorted(large.glob("*.jpg"))[:1]).whole()
            print(f"upload to candidates: {took or float('nan'):.1f} s", flush=True)
            people = Search.objects.get().candidates.count()
            print(f"{people} candidates on the list", flush=True)
            time.sleep(30)  # what the system does after a search, before somebody examines it
            return browsed(address, staff.of_role[Role.EXAMINER].username, look, chromium)


def enlarged(folder: Path, into: Path, many: int) -> Path:
    """So many people's photographs of LFW at the size of a good camera, with some noise, and their manifest."""
    import numpy as np
    from PIL import Image

    with (folder / "manifest.csv").open() as file:
        rows = list({row["person_id"]: row for row in csv.DictReader(file)}.values())[:many]
    noise = np.random.default_rng(1)
    for row in rows:
        picture = Image.open(folder / row["photo"]).convert("RGB").resize(SIDES, Image.Resampling.LANCZOS)
        pixels = np.asarray(picture, np.int16) + noise.integers(-6, 7, (SIDES[1], SIDES[0], 3), np.int16)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(into / row["photo"], quality=95)
    with (into / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["photo", "person_id", "booking_number"])
        writer.writeheader()
        writer.writerows(rows)
    return into


def browsed(address: str, username: str, look: float, chromium: str) -> dict[str, list[float]]:
    from playwright.sync_api import sync_playwright
    from serving.records import PASSPHRASE, code_of

    from mugsearch.accounts.models import User

    code = code_of(User.objects.get(username=username))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        page.goto(address)
        page.get_by_role("button", name="I understand").click()
        page.fill("input[name=username]", username)
        page.fill("input[name=password]", PASSPHRASE)
        page.keyboard.press("Enter")
        page.fill("input[name=code]", code)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Examine the next search").wait_for()
        clicked = time.perf_counter()
        page.get_by_role("button", name="Examine the next search").click()
        page.locator("[data-compare].is-live").wait_for()
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        painted = 1000 * (time.perf_counter() - clicked)
        page.wait_for_function(
            "[...document.querySelectorAll('[data-view] img')].every(one => one.complete && one.naturalWidth)"
        )
        both = 1000 * (time.perf_counter() - clicked)
        switches: list[float] = []
        while True:
            time.sleep(look)
            took: Any = page.evaluate(FASTER)
            if took is None:
                break
            switches.append(took)
        browser.close()
    return {"first paint": [painted], "both shown": [both], "switch": switches}


if __name__ == "__main__":
    sys.exit(main())
