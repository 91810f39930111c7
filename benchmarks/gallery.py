"""What several benchmarks start from: an empty database with tables, people, and photographs imported."""

import os
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mugsearch.settings")


def photographs(name: str) -> Path:
    """The folder `name` (meds, lfw) of the shared photographs; ends the benchmark with a line where it is absent."""
    root = Path(os.environ.get("MUGSEARCH_PHOTOS") or Path(__file__).resolve().parents[2] / "shared" / "data")
    folder = root / name
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"The photographs '{name}' are not here; set MUGSEARCH_PHOTOS to the folder that holds them.")
    return folder


def set_up() -> None:
    """Django, and the tables of this throw-away database."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` don't exceed, nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
