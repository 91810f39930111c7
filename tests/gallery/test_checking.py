"""Every night the index is compared with PostgreSQL both ways, and what differs is mended and said."""

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mugsearch.audit.models import Entry
from mugsearch.engine.index import FACTS, FILE, FaceIndex, IndexDamaged
from mugsearch.errors import Unavailable
from mugsearch.gallery import changes, checking, encoding, filling, live, tasks
from mugsearch.gallery.checking import Checked
from mugsearch.gallery.models import Person, Template
from mugsearch.vault import services as vault
from tests.fakes import person_vector
from tests.gallery.indexes import flip_in
from tests.gallery_rows import enrol, vector_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def templates(fake_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> list[Template]:
    """Five, compared in three batches."""
    monkeypatch.setattr(filling, "BATCH", 2)
    found = [enrol(person).templates.get() for person in range(5)]
    live.rebuild(encoding.active())
    return found


def check() -> Checked:
    return checking.check(encoding.active())


def behind_the_back() -> Any:
    """A change of the index that the log knows nothing of."""
    return live._opened(encoding.active()).index.change()


def test_an_index_that_agrees_is_left_alone_and_the_record_says_it_was_compared(templates: list[Template]) -> None:
    before = (live._folder(encoding.active()) / FILE).read_bytes()
    assert check() == Checked(vectors=5)
    assert (live._folder(encoding.active()) / FILE).read_bytes()[4096:] == before[4096:]
    entry = Entry.objects.get(act="index.checked")
    counts = {"vectors": 5, "missing": 0, "superfluous": 0, "different": 0, "unreadable": 0}
    assert entry.details == counts


def test_a_row_that_is_missing_is_put_back(templates: list[Template]) -> None:
    with behind_the_back() as change:
        change.drop([templates[2].pk])
    assert check() == Checked(vectors=5, missing=1)
    assert_mended(templates)


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_row_that_postgresql_does_not_know_is_erased(templates: list[Template], place: int) -> None:
    vector = vector_of(templates[place]).tobytes()
    Template.objects.filter(pk=templates[place].pk).delete()
    assert check() == Checked(vectors=4, superfluous=1)
    assert_mended([template for at, template in enumerate(templates) if at != place])
    assert vector not in (live._folder(encoding.active()) / FILE).read_bytes()


def test_a_row_with_another_vector_is_put_right(templates: list[Template]) -> None:
    with behind_the_back() as change:
        change.put([templates[1].pk], person_vector(99)[None])
    assert check() == Checked(vectors=5, different=1)
    assert_mended(templates)


def test_a_row_with_other_facts_is_put_right(templates: list[Template]) -> None:
    Person.objects.update(sex="F")  # by somebody who went around the services
    assert check() == Checked(vectors=5, different=5)
    assert_mended(templates)


def test_a_row_whose_bytes_were_damaged_is_read_again(templates: list[Template]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filling, "BATCH", 10)
        flip_in("vectors")
        assert check() == Checked(vectors=5, missing=5)  # their block
    assert_mended(templates)


def test_an_index_that_had_to_be_made_anew_did_not_agree(templates: list[Template], monkeypatch: Any) -> None:
    monkeypatch.setattr(filling, "BATCH", 10)
    (live._folder(encoding.active()) / FILE).unlink()
    assert check() == Checked(vectors=5, missing=5)
    assert check() == Checked(vectors=5)


def test_when_much_was_damaged_searches_are_refused_until_it_is_read_again(templates: list[Template]) -> None:
    flip_in("codes")
    with pytest.raises(live.NotReady):
        check()
    live.rebuild(encoding.active())
    assert_mended(templates)


def test_what_is_mended_is_logged_and_recorded(templates: list[Template], caplog: pytest.LogCaptureFixture) -> None:
    Template.objects.filter(pk=templates[0].pk).delete()
    with behind_the_back() as change:
        change.drop([templates[1].pk])
        change.put([templates[2].pk], person_vector(99)[None])
    check()
    assert "'missing': 1, 'superfluous': 1, 'different': 1" in caplog.text
    entry = Entry.objects.get(act="index.checked")
    assert [entry.details[name] for name in ("missing", "superfluous", "different")] == [1, 1, 1]


def test_a_vector_that_can_not_be_read_is_counted_and_its_row_left_alone(templates: list[Template]) -> None:
    sealed = bytearray(templates[1].sealed_vector)
    sealed[40] ^= 1
    Template.objects.filter(pk=templates[1].pk).update(sealed_vector=bytes(sealed))
    assert check() == Checked(vectors=5, unreadable=1)
    assert templates[1].pk in live.catch_up(encoding.active()).ids()


def test_a_row_whose_key_is_destroyed_is_erased(templates: list[Template]) -> None:
    """As after a restored backup: the row is back, its key is not."""
    vault.destroy_key(templates[1].photo.booking_id)
    assert check() == Checked(vectors=5, superfluous=1, unreadable=1)
    assert templates[1].pk not in live.catch_up(encoding.active()).ids()


@pytest.mark.parametrize("when", [("templates", "change"), ("unsealed", "change and catch up")])
@pytest.mark.parametrize("what", ["enrolled", "erased", "corrected"])
def test_what_changes_during_the_check_is_no_false_alarm(
    templates: list[Template], what: str, when: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        if what == "enrolled":
            enrol(9)
        elif what == "erased":
            changes.drop([templates[1]])
            Template.objects.filter(pk=templates[1].pk).delete()
        else:
            person = templates[1].photo.booking.person
            Person.objects.filter(pk=person.pk).update(sex="F")
            changes.put_again(people=[person.pk])

    def change_and_catch_up() -> None:
        change()
        live.catch_up(encoding.active())

    # Before the rows are read, and after, when another process has taken the change into the index already.
    name, happens = when
    real, done = getattr(filling, name), []

    def meanwhile(*args: Any) -> Any:
        if not done:
            done.append(True)
            {"change": change, "change and catch up": change_and_catch_up}[happens]()
        return real(*args)

    monkeypatch.setattr(filling, "BATCH", 10)
    with monkeypatch.context() as once:
        once.setattr(filling, name, meanwhile)
        checked = check()
    assert done
    assert checked.all_is_well()
    assert live.catch_up(encoding.active()).ids().tolist() == list(
        Template.objects.order_by("pk").values_list("pk", flat=True)
    )
    assert check().all_is_well()


def test_the_nightly_task_leaves_the_index_to_the_search_worker(templates: list[Template]) -> None:
    tasks.check_index()
    assert live._held is None
    assert Entry.objects.filter(act="index.checked").exists()


def test_the_nightly_task_waits_for_another_night_while_the_index_is_rebuilt(templates: list[Template]) -> None:
    live.start_over(encoding.active())
    tasks.check_index()
    assert not Entry.objects.filter(act="index.checked").exists()


def at_a_terminal() -> tuple[int, str]:
    out, status = io.StringIO(), 0
    try:
        call_command("check_index", stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        status = int(end.code or 0)
    except CommandError as error:
        status = error.returncode
    return status, out.getvalue()


def test_the_command_says_what_it_mended_and_so_does_its_exit_status(templates: list[Template]) -> None:
    assert at_a_terminal() == (0, "5 vectors compared.\n")
    Template.objects.filter(pk=templates[0].pk).delete()
    status, said = at_a_terminal()
    assert status == 1
    assert "1  were in the index only and are erased" in said
    live.start_over(encoding.active())
    assert at_a_terminal()[0] == 2


def assert_mended(templates: list[Template]) -> None:
    index = live.catch_up(encoding.active())
    ids, _, facts = index.contents()
    assert ids.tolist() == [template.pk for template in templates]
    expected = [filling._facts(template) for template in filling.templates(encoding.active())]
    assert facts.tolist() == [tuple(one) for one in expected]
    assert facts.dtype == FACTS
    for template in templates:
        assert index.search(vector_of(template), 1).hits[0].id == template.pk
    assert check().all_is_well()


def test_mending_an_index_that_was_made_anew_meanwhile_passes_nobody_over(
    fake_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebuild still reads everybody who comes before the mended row."""
    monkeypatch.setattr(filling, "BATCH", 2)
    found = [enrol(person).templates.get() for person in range(7)]
    encoder = encoding.active()
    live.rebuild(encoder)
    live.start_over(encoder)
    live.mend(encoder, [found[5].pk])
    live.rebuild(encoder)
    assert live.catch_up(encoder).ids().tolist() == [template.pk for template in found]


def test_a_mend_that_failed_when_the_index_was_opened_is_not_forgotten(
    templates: list[Template], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the row would be missing on every list for as long as this process lives."""
    encoder = encoding.active()
    with behind_the_back() as change:
        change.drop([templates[2].pk])
    live.reset()

    def full(*_: Any) -> None:
        raise Unavailable("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(filling, "put", full)
        for _ in range(3):
            with pytest.raises(live.NotReady, match="full"):
                live.catch_up(encoder)
    assert live.catch_up(encoder).ids().tolist() == [template.pk for template in templates]


def test_damage_that_another_process_finds_is_no_list_of_this_one(templates: list[Template]) -> None:
    """The index is open here; over there it is checked and found damaged, and made anew by nobody yet."""
    encoder = encoding.active()
    index = live.catch_up(encoder)
    flip_in("codes")
    with pytest.raises(IndexDamaged):
        FaceIndex.open(live._folder(encoder), dimension=encoder.dimension, encoder=encoder.digest)
    with pytest.raises(IndexDamaged), index.change() as change:
        change.drop([templates[0].pk])
    live.reset()
    with pytest.raises(live.NotReady):
        live.catch_up(encoder)  # five templates are more than a step here
    live.rebuild(encoder)
    assert live.catch_up(encoder).ids().tolist() == [template.pk for template in templates]
