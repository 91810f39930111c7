"""An index on disk, ways of damaging it, and what it has to answer all the same."""

import shutil
from pathlib import Path
from typing import Any

from mugsearch.engine import segments
from mugsearch.engine.index import FILE, FaceIndex
from mugsearch.gallery import checking, encoding, live, readiness
from mugsearch.gallery.models import Template
from tests.fakes import person_vector
from tests.gallery_rows import enrol, vector_of

PEOPLE = 7


def folder() -> Path:
    return live._folder(encoding.active())


def a_gallery(people: int = PEOPLE) -> list[int]:
    """Enrolled, and in an index on disk; the templates' ids."""
    ids = [enrol(person).templates.get().pk for person in range(people)]
    live.rebuild(encoding.active())
    return ids


def in_steps() -> int:
    """Do what the worker's messages do, one step each; how many."""
    steps = 1
    while not live.rebuild(encoding.active(), seconds=0):
        steps += 1
    return steps


def state() -> Any:
    return live._opened(encoding.active()).index.state()


def assert_it_answers_as_postgresql_says() -> None:
    index = live.catch_up(encoding.active())
    templates = list(Template.objects.select_related("photo").order_by("pk"))
    assert index.ids().tolist() == [template.pk for template in templates]
    for template in templates:
        best = index.search(vector_of(template), 1).hits[0]
        assert (best.id, best.score) == (template.pk, 1.0)
    assert checking.check(encoding.active()).all_is_well()
    readiness.require_ready()


def _flip(place: int) -> None:
    with (folder() / FILE).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def flip_in(region: str) -> None:
    held = live._opened(encoding.active()).index._file
    _flip(segments._HEADER + held.segment.fields[region][1])


def _cut(length: int) -> None:
    with (folder() / FILE).open("r+b") as file:
        file.truncate(length)


def _put_a_foreign_one() -> None:
    live.reset()
    shutil.rmtree(folder())
    FaceIndex.create(folder(), dimension=128, encoder="of another encoder").close()


def _put_one_of_the_version_before() -> None:
    (folder() / FILE).write_bytes(b"\x93NUMPY" + person_vector(3).tobytes())
    (folder() / f"{FILE}.old").write_bytes(person_vector(3).tobytes())
    (folder() / f"{FILE}.new").write_bytes(person_vector(3).tobytes())


def _tear_the_header() -> None:
    with (folder() / FILE).open("r+b") as file:
        file.seek(20)
        file.write(b"\xff" * 30)


def delete() -> None:
    (folder() / FILE).unlink()


DAMAGES = {
    "deleted": delete,
    "folder deleted": lambda: shutil.rmtree(folder()),
    "empty": lambda: _cut(0),
    "cut in the header": lambda: _cut(100),
    "cut after the header": lambda: _cut(segments._HEADER),
    "cut in the rows": lambda: _cut((folder() / FILE).stat().st_size // 2),
    "cut at its end": lambda: _cut((folder() / FILE).stat().st_size - 1),
    "header torn": _tear_the_header,
    **{
        f"a bit of {region} flipped": lambda region=region: flip_in(region)
        for region in ("ids", "scales", "errors", "facts", "codes", "vectors", "sums")
    },
    "of another encoder": _put_a_foreign_one,
    "of the version before": _put_one_of_the_version_before,
    "zeros": lambda: (folder() / FILE).write_bytes(bytes((folder() / FILE).stat().st_size)),
}
