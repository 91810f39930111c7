"""Several real processes have one index open: they take turns, and one that is killed leaves nothing half done."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mugsearch.engine.index import FILE
from mugsearch.gallery import changes, checking, encoding, filling, live, readiness, vectors
from mugsearch.gallery.models import Template
from tests import hunting
from tests.gallery_rows import enrol, vector_of
from tests.processes import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fake_encoder")]

# Says a line of JSON after each step, and takes the next when it is sent a line.
PROGRAM = """
import json, sys
import django
django.setup()
from mugsearch.engine import encoders
from tests.fakes import FakeEncoder, person_vector
encoders.ENCODERS["fake"] = lambda _: FakeEncoder()
from mugsearch.gallery import encoding, filling, live
filling.BATCH = int(sys.argv[2])

def catch_up():
    index = live.catch_up(encoding.active())
    found = index.search(person_vector(0), 1000)
    return {"ids": [hit.id for hit in found.hits], "generation": found.generation, "live": found.live}

def rebuild():
    whole = live.rebuild(encoding.active(), seconds=0)
    return {"reached": live._opened(encoding.active()).index.state().reached, "whole": whole}

step = {"catch_up": catch_up, "rebuild": rebuild}[sys.argv[1]]
print("{}", flush=True)
for _ in sys.stdin:
    print(json.dumps(step()), flush=True)
"""

Process = subprocess.Popen[str]


@pytest.fixture
def started(settings: Any) -> Iterator[Callable[..., Process]]:
    """A process with this test's data; started(what, batch)."""
    root, running = Path(__file__).resolve().parents[2], []

    def start(what: str, batch: int = 2000) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, what, str(batch)],
            env={**environment(settings), "MUGSEARCH_ENCODER": "fake", "PYTHONPATH": str(root)},
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def tell(process: Process) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: Process) -> Any:
    assert process.stdout
    return json.loads(process.stdout.readline())


def step(process: Process) -> Any:
    tell(process)
    return heard(process)


def ids_in_postgresql() -> list[int]:
    return list(Template.objects.order_by("pk").values_list("pk", flat=True))


def test_two_processes_that_start_and_catch_up_at_once_answer_alike(started: Callable[..., Process]) -> None:
    for person in range(10):
        enrol(person)
    both = [started("catch_up"), started("catch_up")]
    for process in both:
        heard(process)
    for person in range(10, 22):  # the first time there is no index yet: both want to make it
        for process in both:
            tell(process)
        gone = Template.objects.order_by("pk")[0]
        for answer in [heard(process) for process in both]:
            assert len(answer["ids"]) == answer["live"]
            assert sorted(answer["ids"]) == ids_in_postgresql()
            assert answer["generation"] == changes.latest()
        changes.drop([gone])
        Template.objects.filter(pk=gone.pk).delete()
        enrol(person)
    assert live.catch_up(encoding.active()).ids().tolist() == ids_in_postgresql()
    assert checking.check(encoding.active()).all_is_well()


def test_an_index_made_anew_by_one_process_is_used_by_the_other(started: Callable[..., Process]) -> None:
    template = enrol(1).templates.get()
    other = started("catch_up")
    heard(other)
    step(other)
    live.start_over(encoding.active())
    late = enrol(2).templates.get()
    assert sorted(step(other)["ids"]) == [template.pk, late.pk]
    (live._folder(encoding.active()) / FILE).unlink()
    assert sorted(step(other)["ids"]) == [template.pk, late.pk]
    assert live.catch_up(encoding.active()).ids().tolist() == [template.pk, late.pk]


def test_a_process_that_has_read_every_vector_holds_none_of_them_in_memory_of_its_own(
    started: Callable[..., Process],
) -> None:
    templates = [enrol(person).templates.get() for person in range(100)]
    process = started("catch_up")
    heard(process)
    for _ in range(2):
        step(process)
        live.start_over(encoding.active())
    step(process)
    # But for the first one's: that is what the process searches with.
    sought = hunting.Traces(np.stack([vector_of(template) for template in templates[1:]]))
    assert hunting.in_memory(process.pid, sought) == {("float32", FILE), ("int8", FILE)}


def test_a_rebuild_that_is_killed_goes_on_in_another_process_where_it_was(
    started: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [enrol(person).templates.get().pk for person in range(12)]
    monkeypatch.setattr(filling, "BATCH", 2)
    process = started("rebuild", 2)
    heard(process)
    for _ in range(3):
        reached = step(process)["reached"]
    assert reached == ids[5]
    tell(process)  # killed somewhere in the fourth step
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = live._opened(encoding.active()).index.state().reached
    assert reached in (ids[5], ids[7])
    assert readiness.rebuilding() is not None
    read: list[int] = []
    unseal = vectors.unseal
    monkeypatch.setattr(vectors, "unseal", lambda template, into: (read.append(template.pk), unseal(template, into)))
    live.rebuild(encoding.active())
    assert read == [one for one in ids if one > reached]
    readiness.require_ready()
    assert checking.check(encoding.active()).all_is_well()


@pytest.mark.slow
def test_processes_killed_again_and_again_while_they_catch_up_leave_a_right_index(
    started: Callable[..., Process],
) -> None:
    enrol(0)
    for person in range(1, 9):
        process = started("catch_up")
        heard(process)
        enrol(person)
        tell(process)
        try:
            process.wait(0.008 * person)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert live.catch_up(encoding.active()).ids().tolist() == ids_in_postgresql()
    assert checking.check(encoding.active()).all_is_well()
