"""How often people who are not in the gallery would be returned, and how long it takes to measure that.

    ./run bench calibration

For MEDS-II, LFW and both in one gallery, imported and measured through the product's own services with the default
encoder: the false-positive rates by cosine, with 95 % intervals, and the time of 2,000 searches (or of one for each
person, where there are fewer). 0.363 is the threshold OpenCV publishes for SFace, above which two faces are called the
same; it is for comparing two photographs, and a search compares with all of them.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import photographs, set_up

SFACE = 0.363
COSINES = (0.2, 0.25, 0.3, 0.35, SFACE, 0.4, 0.45, 0.5, 0.55, 0.6)
SEED = "benchmark"


def main() -> None:
    folders = {name: photographs(name) for name in ("meds", "lfw")}
    set_up()

    from mugsearch.accounts.models import Agency
    from mugsearch.accounts.services import console
    from mugsearch.gallery import encoding, importing, live, manifest, sources
    from mugsearch.gallery.models import ImportRun
    from mugsearch.probes import calibrating
    from mugsearch.probes.calibration import fpir

    for number, (name, folder) in enumerate(folders.items()):
        agency, _ = Agency.objects.get_or_create(code=name, defaults={"name": name})
        run = importing.run_here(
            by=console(),
            agency=agency,
            several=ImportRun.Several.CENTRE,
            manifest=manifest.read((folder / "manifest.csv").read_bytes()),
            source=sources.Folder(folder),
        )
        print(f"{name}: {run.enrolled} of {run.rows} photographs enrolled", flush=True)
        live.rebuild(encoding.active())  # no worker does it here
        started = time.perf_counter()
        made = calibrating.calibrate(by=console(), seed=SEED)
        took = time.perf_counter() - started
        gallery = " and ".join(list(folders)[: number + 1])
        print(
            f"\n{gallery}, {made.encoder.name}: {made.people} people searched among {made.gallery_size} photographs in "
            f"{took:.1f} s, {1000 * took / made.people:.1f} ms each"
        )
        for cosine in COSINES:
            print(f"  {cosine:.3f}  {fpir(made.scores, cosine).words}")
        print(f"  the highest: {', '.join(f'{score:.4f}' for score in made.scores[-5:])}\n", flush=True)


if __name__ == "__main__":
    main()
