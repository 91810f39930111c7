"""What PostgreSQL gives back of hostile details is hashed alike by the product and by the program without Django."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mugsearch.audit import services as audit
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import Head, verify
from mugsearch.auditing import verify_audit
from tests.audit.arrange import entries, exported, run, standalone

pytestmark = pytest.mark.django_db(transaction=True)

# All that JSON and PostgreSQL's jsonb can hold: it knows no NUL and no half of a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(
        ['"previous":"' + "0" * 64 + '"}', '"number":7,"object_id":', "\u2028", "\x7f", "\\u0041", "é", "é"]
    )
)
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_canonical_bytes_agree_for_whatever_an_act_notes(details: dict[str, Any]) -> None:
    entry = audit.append(audit.Act("thing.done", None, details=details), audit.Outcome.DONE)
    again = Entry.objects.get(pk=entry.pk)
    assert again.expected_digest() == entry.digest
    line = again.line()
    assert line.count(b"\n") == 1
    one = verify_audit.parsed(line)
    assert (one.number, one.previous, one.digest, one.fits) == (entry.number, entry.previous, entry.digest, True)
    assert json.loads(line)["details"] == again.details


def test_the_whole_record_of_hostile_details_is_intact_for_both(tmp_path: Path) -> None:
    for value in (1e22, -0.0, 5e-324, 1.7976931348623157e308, 10**300, {"a": [{}, [], "\u2028"]}, "\\", '"}', "😀"):
        audit.record("thing.done", by=None, value=value)
    assert verify().intact
    assert standalone(exported(tmp_path)).returncode == 0


SQL = [
    "UPDATE audit_entry SET act = 'x' WHERE number = 6",
    "UPDATE audit_entry SET at = at - interval '1 microsecond' WHERE number = 1",
    "UPDATE audit_entry SET details = details || '{\"more\": 1}' WHERE number = 10",
    "UPDATE audit_entry SET details = '{\"step\": 6.0}' WHERE number = 6",
    "UPDATE audit_entry SET digest = repeat('a', 64) WHERE number = 6",
    "UPDATE audit_entry SET previous = repeat('a', 64) WHERE number = 6",
    "UPDATE audit_entry SET number = 20 WHERE number = 10",
    "UPDATE audit_entry SET number = 11 WHERE number = 3",
    "DELETE FROM audit_entry WHERE number IN (1, 2)",
    "DELETE FROM audit_entry WHERE number IN (4, 8)",
    "DELETE FROM audit_entry WHERE number = 10",
]


@pytest.mark.parametrize("statement", SQL)
@pytest.mark.parametrize("against", [False, True])
def test_both_verifiers_name_the_same_first_bad_entry(statement: str, against: bool) -> None:
    made = entries(10)
    run(statement)
    heads = [Head(10, made[-1].digest)] if against else []
    ours = verify(against=heads)
    lines = [entry.line() for entry in Entry.objects.order_by("number")]
    kept = [verify_audit.Head(head.number, head.digest) for head in heads]
    theirs = verify_audit.check(lines, kept, begins=1)
    assert (theirs.first_bad, theirs.problem) == (ours.first_bad, ours.problem)
    assert (theirs.last, theirs.digest) == (ours.entries, ours.head)
    assert against is False or ours.first_bad


def test_numbers_that_no_program_of_ours_writes_are_a_finding_and_no_crash(tmp_path: Path) -> None:
    entries(10)
    run("UPDATE audit_entry SET details = ('{\"step\": 1' || repeat('0', 5000) || '}')::jsonb WHERE number = 6")
    assert (verify().first_bad, verify().problem) == (6, "it can't be read")
    with pytest.raises(CommandError, match="Entry 6: it can't be read"):
        call_command("audit", "verify")


LINES = [
    (lambda line: line.replace(b'"step":5', b'"step": 5'), "a blank"),
    (lambda line: line.replace(b'{"act"', b'{"act":"x","act"'), "a name twice"),
    (lambda line: line[:-1], "no end of the line"),
    (lambda line: b"\xff" + line, "no UTF-8"),
    (lambda line: b"[" * 100_000 + line, "deep"),
    (lambda _: b"", "nothing"),
    (lambda _: b"\n", "an empty line"),
]


@pytest.mark.parametrize("change", [change for change, _ in LINES], ids=[name for _, name in LINES])
def test_a_line_that_was_touched_is_found_where_it_is(change: Any, tmp_path: Path) -> None:
    entries(10)
    path = exported(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], change(lines[4]), *lines[5:]]))
    assert "NOT INTACT  Entry 5:" in standalone(path).stdout
