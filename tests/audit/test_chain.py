"""The record can't be changed, and when somebody goes round PostgreSQL's refusal the verification finds it."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from django.db import ProgrammingError, connection

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, verify
from mugsearch.errors import BadInput, WrongState
from tests.audit.arrange import entries, rewrite_from
from tests.factories import AgencyFactory, investigator
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)


def ten_entries() -> list[Entry]:
    return entries(10)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET act = 'x'",
        "UPDATE audit_entry SET details = details WHERE number = 2",
        "DELETE FROM audit_entry WHERE number = 10",
        "TRUNCATE audit_entry",
        "INSERT INTO audit_entry SELECT * FROM audit_entry ON CONFLICT (number) DO UPDATE SET act = 'x'",
    ],
)
def test_postgresql_refuses_to_change_the_record(statement: str) -> None:
    ten_entries()
    with as_owner(), pytest.raises(ProgrammingError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify().intact
    assert Entry.objects.count() == 10


def test_an_untouched_record_is_intact() -> None:
    made = ten_entries()
    verdict = verify()
    assert verdict.intact
    assert (verdict.entries, verdict.head) == (10, made[-1].digest)
    assert str(verdict.kept_head) == f"10:{made[-1].digest}"


def test_an_empty_record_is_intact() -> None:
    assert verify().intact


@pytest.mark.parametrize(
    "change",
    [
        "act = 'thing.undone'",
        "actor = gen_random_uuid()",
        "at = at + interval '1 microsecond'",
        "address = '10.0.0.1'",
        "outcome = 'refused'",
        "object_type = 'x'",
        "object_id = 'x'",
        """ "case" = gen_random_uuid()""",
        """details = '{"step": 6}'""",
    ],
)
def test_an_edited_entry_is_found_whichever_column_it_was(change: str) -> None:
    ten_entries()
    with past_the_triggers(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE audit_entry SET {change} WHERE number = 5")  # noqa: S608  from the list above
    verdict = verify()
    assert (verdict.first_bad, verdict.entries) == (5, 4)
    assert "contents" in verdict.problem


def test_an_edited_entry_with_a_digest_to_match_breaks_the_link_of_the_next() -> None:
    ten_entries()
    with past_the_triggers():
        Entry.objects.filter(pk=5).update(act="thing.undone")
        edited = Entry.objects.get(pk=5)
        Entry.objects.filter(pk=5).update(digest=edited.expected_digest())
    assert verify().first_bad == 6


def test_an_entry_removed_from_the_middle_is_found() -> None:
    ten_entries()
    with past_the_triggers():
        Entry.objects.filter(pk=5).delete()
    assert (verify().first_bad, verify().problem) == (5, "it is missing")


def test_two_entries_that_changed_places_are_found() -> None:
    ten_entries()
    with past_the_triggers():
        for old, new in ((4, 99), (5, 4), (99, 5)):
            Entry.objects.filter(pk=old).update(number=new)
    assert verify().first_bad == 4


def test_a_cut_tail_is_found_against_a_head_kept_outside_and_only_then() -> None:
    ten_entries()
    head = verify().kept_head
    with past_the_triggers():
        Entry.objects.filter(pk__gt=7).delete()
    assert verify().intact
    verdict = verify(against=head)
    assert (verdict.first_bad, verdict.entries) == (8, 7)
    assert "there were 10" in verdict.problem


def test_a_record_written_anew_is_found_against_a_head_kept_outside_and_only_then() -> None:
    ten_entries()
    head = verify().kept_head
    with past_the_triggers():
        Entry.objects.filter(pk=2).update(act="thing.undone")
        rewrite_from(2)
    audit.record("thing.done", by=None)
    assert verify().intact
    verdict = verify(against=head)
    assert verdict.first_bad == 10
    assert "written anew" in verdict.problem


def test_a_head_kept_outside_still_fits_when_the_record_has_grown() -> None:
    ten_entries()
    head = verify().kept_head
    ten_entries()
    assert verify(against=head).intact


@pytest.mark.parametrize("text", ["", "5", "5:abc", f"x:{'0' * 64}", f"-5:{'0' * 64}", f"5:{'g' * 64}"])
def test_a_head_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Head.parse(text)


def test_a_head_is_read_as_it_was_printed() -> None:
    head = Head(12, sha256(b"x").hexdigest())
    assert Head.parse(f" {head}\n".upper()) == head


@pytest.mark.parametrize(
    "value",
    [-0.0, 1e16, 1e22, 1e-7, 0.1 + 0.2, 1.7976931348623157e308, 10**30, {1: 2, 10: 3, 9: 1}, (1, 2), "é\u2028😀", None],
)
def test_the_digest_is_over_what_postgresql_gives_back(value: object) -> None:
    """It writes some numbers and addresses in its own way; none of that may look like tampering."""
    audit.record("thing.done", by=None, value=value)
    assert verify().intact


@pytest.mark.parametrize("address", ["127.0.0.1", "::FFFF:127.0.0.1", "2001:DB8:0::1", "fe80::1%eth0"])
def test_the_record_fits_from_wherever_a_request_came(address: str) -> None:
    token = audit.origin.set(address)
    try:
        audit.record("thing.done", by=None)
    finally:
        audit.origin.reset(token)
    assert verify().intact


@pytest.mark.parametrize(("writers", "each"), [(8, 50), pytest.param(32, 500, marks=pytest.mark.slow)])
def test_many_writers_make_one_unbroken_chain(writers: int, each: int) -> None:

    def write(writer: int) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")  # the order is what is tested, not the disk
            for step in range(each):
                with audit.act("thing.done", by=None, writer=writer, step=step):
                    pass
        finally:
            connection.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    verdict = verify()
    assert (verdict.intact, verdict.entries) == (True, writers * each)


def test_a_refused_act_is_undone_and_leaves_an_entry() -> None:
    person = investigator()

    def refused() -> None:
        with audit.act("agency.added", by=person) as act:
            act.obj = AgencyFactory(code="shelbyville")
            act.note(step="half done")
            raise WrongState("No.")

    with pytest.raises(WrongState):
        refused()
    assert not person.agency.__class__.objects.filter(code="shelbyville").exists()
    entry = Entry.objects.get()
    assert (entry.act, entry.outcome, entry.actor) == ("agency.added", "refused", person.pk)
    assert entry.details == {"step": "half done", "reason": "wrong_state"}


def test_without_an_entry_there_is_no_act(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(audit, "append", broken)

    def act() -> None:
        with audit.act("agency.added", by=None):
            AgencyFactory(code="shelbyville")

    with pytest.raises(RuntimeError):
        act()
    assert not AgencyFactory._meta.model.objects.filter(code="shelbyville").exists()
