"""MEDS-II through the product's own services: which photos give no face, and rank-1, leave-one-out.

Every enrolled photo of a person with two or more is searched among all the others; the marked test
tests/probes/test_meds.py does the same with uploads as an investigator makes them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import photographs, set_up


def main() -> None:
    folder = photographs("meds")
    set_up()

    import numpy as np

    from mugsearch.accounts.models import Agency
    from mugsearch.accounts.services import console
    from mugsearch.gallery import encoding, filling, importing, live, manifest, sources
    from mugsearch.gallery.models import ImportRun, Photo

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    run = importing.run_here(
        by=console(),
        agency=agency,
        several=ImportRun.Several.ONLY,
        manifest=manifest.read((folder / "manifest.csv").read_bytes()),
        source=sources.Folder(folder),
    )
    print(f"{run.enrolled} enrolled, {run.waiting} wait for a clerk, {run.rejected} rejected")
    for photo in Photo.objects.waiting().select_related("booking"):
        print(f"  {photo.booking.booking_number}: {photo.get_trouble_display()}")

    encoder = encoding.active()
    index = live.catch_up(encoder)
    templates = list(filling.templates(encoder))
    person_of = {template.pk: template.photo.booking.person_id for template in templates}
    mated = first = 0
    with filling.unsealed(templates, encoder) as (ids, rows, _):
        for pk, vector in zip(ids.tolist(), rows, strict=True):
            others = ids[ids != pk]
            if person_of[pk] not in {person_of[other] for other in others.tolist()}:
                continue
            mated += 1
            best = index.search(vector, 1, where=lambda ids, _, others=others: np.isin(ids, others)).hits[0]
            first += person_of[best.id] == person_of[pk]
    print(f"encoder {encoder.name}: rank-1 {first}/{mated} leave-one-out over {len(person_of)} photos")


if __name__ == "__main__":
    main()
