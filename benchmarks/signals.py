"""How long drawing a day of misuse signals takes, and what the auditors' filters cost in a long record.

    ./run bench signals [--searches 100000] [--entries 1000000]

Rows are written straight into the tables: searches of a year by 200 people on 4,000 cases, a candidate first on each
list out of 5,000 bookings, two concluded examinations each. Prints every signal's time, that of the whole draw, and the
first page of the record under each filter, with what PostgreSQL reads it by.
"""

import argparse
import datetime
import hashlib
import random
import re
import sys
import time
import uuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import rows
from gallery import set_up

USERS, CASES, BOOKINGS = 200, 4000, 5000
ACTS = ("search.requested", "search.finished", "search.viewed", "candidate.viewed", "lead.viewed", "finding.saved")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    set_up()
    from django.utils import timezone

    from mugsearch import ownership
    from mugsearch.auditing import drawing, signals
    from mugsearch.probes import policy

    begin = time.perf_counter()
    with ownership.acting():  # the service's role may switch no trigger off
        people, cases = fill(options.searches, options.entries)
    from mugsearch.audit.models import Entry
    from mugsearch.probes.models import Search

    made = f"{Search.objects.count():,} searches and {Entry.objects.count():,} entries"
    print(f"{made}, made in {time.perf_counter() - begin:.0f} s")
    day = timezone.localdate() - drawing.DAY
    start, end = drawing.bounds(day), drawing.bounds(day + drawing.DAY)
    for signal in signals.SIGNALS:
        begin = time.perf_counter()
        found = len(list(signal.query(policy.current().signals, start, end)))
        print(f"{signal.name:22} {time.perf_counter() - begin:6.2f} s  {found} rows")
    begin = time.perf_counter()
    drawn = drawing.draw(day)
    took = time.perf_counter() - begin
    print(f"the whole draw         {took:6.2f} s  {drawn.searches:,} searches, {drawn.sightings.count()} sightings")
    filters(people, cases)


def fill(searches: int, entries: int) -> tuple[list[Any], list[Any]]:
    from django.db import connection
    from django.utils import timezone

    from mugsearch.accounts.models import User
    from mugsearch.gallery.models import Photo
    from mugsearch.probes.models import Candidate, Case, Probe, Search
    from reviews.models import Examination

    chance = random.Random(7)  # noqa: S311  the same rows each time
    agency, encoder = rows.agency_and_encoder()
    if not Photo.objects.exists():
        rows.bookings(BOOKINGS, 1, files=False)
    photos = list(Photo.objects.values_list("pk", "booking__person"))
    people, cases = list(User.objects.people().order_by("username")), list(Case.objects.order_by("number"))
    if not cases:
        made = [User(username=f"u{n}", full_name=f"Person Number{n}", agency=agency) for n in range(USERS)]
        people = User.objects.bulk_create(made)
        cases = Case.objects.bulk_create(
            [Case(agency=agency, number=f"C-{n}", opened_by=chance.choice(people)) for n in range(CASES)]
        )
    now = timezone.now()
    tables = ("probes_search", "probes_candidate", "reviews_examination")
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for first in range(Search.objects.count(), searches, 5000):  # a run that was cut goes on
        probes, asked, firsts, examined = [], [], [], []
        for n in range(first, min(first + 5000, searches)):
            case, at = chance.choice(cases), now - datetime.timedelta(days=365 * chance.random())
            who = case.opened_by
            probe = Probe(
                case=case, submitted_by=who, submitted_at=at, offence="robbery", legal_basis="warrant", state="ready",
                source="document", source_detail="x", attested_at=at, policy_digest="0" * 64, format="PNG", width=9,
                height=9, sha256=hashlib.sha256(str(n).encode()).hexdigest(),
            )  # fmt: skip
            search = Search(
                probe=probe, requested_by=who, requested_at=at, face=0, list_size=20, policy_digest="0" * 64,
                positive_rating=2, state="done", encoder=encoder, generation=1, gallery_size=9, depth=9, scanned=9,
                rescored=9, started_at=at, finished_at=at,
            )  # fmt: skip
            photo, person = chance.choice(photos)
            probes.append(probe)
            asked.append(search)
            firsts.append(Candidate(search=search, rank=1, person_id=person, photo_id=photo, score=0.5))
            pair = chance.sample(people[:12], 2)
            examined += [
                Examination(search=search, examiner=one, state="concluded", claimed_at=at, concluded_at=at)
                for one in pair
            ]
        for model, made_rows in ((Probe, probes), (Search, asked), (Candidate, firsts), (Examination, examined)):
            model.objects.bulk_create(made_rows, batch_size=1000)  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute(
            """
            INSERT INTO audit_entry
                (number, at, actor, act, outcome, object_type, object_id, "case", details, previous, digest)
            SELECT n, now() - interval '365 days' * (1 - n::float / %(entries)s),
                   (%(people)s::uuid[])[1 + n %% %(users)s], (%(acts)s::text[])[1 + (n * 7) %% 6],
                   CASE WHEN n %% 500 = 0 THEN 'refused' ELSE 'done' END,
                   'probes.search', gen_random_uuid()::text, (%(cases)s::uuid[])[1 + (n * 13) %% 4000], '{}', '',
                   md5(n::text) || md5('x' || n)
            FROM generate_series((SELECT coalesce(max(number), 0) + 1 FROM audit_entry), %(entries)s) n
            """,
            {
                "entries": entries,
                "people": [one.pk for one in people],
                "users": USERS,
                "acts": list(ACTS),
                "cases": [case.pk for case in cases],
            },
        )
        cursor.execute("ANALYZE")
    return people, cases


def filters(people: list[Any], cases: list[Any]) -> None:
    from django.utils import timezone

    from mugsearch.auditing import queries
    from mugsearch.auditing.queries import Filters

    now = timezone.now()
    month = (now - datetime.timedelta(days=200), now - datetime.timedelta(days=170))
    asked = {
        "nothing": Filters(),
        "person": Filters(actors=(people[3].pk,)),
        "case": Filters(cases=(cases[5].pk,)),
        "act": Filters(acts=("lead.viewed",)),
        "family": Filters(acts=queries.of_family("search")),
        "refused": Filters(outcome="refused"),
        "object": Filters(objects=(str(uuid.uuid4()),)),
        "time": Filters(since=month[0], before=month[1]),
        "person, act, time": Filters(actors=(people[3].pk,), acts=("lead.viewed",), since=month[0], before=month[1]),
        "case, refused": Filters(cases=(cases[5].pk,), outcome="refused"),
    }
    for name, one in asked.items():
        begin = time.perf_counter()
        found = queries.page(one, size=50)
        took = time.perf_counter() - begin
        plan = one.entries()[:50].explain()
        by = sorted(set(re.findall(r"(?:using|Scan on) (\w+)", plan)) - {"audit_entry"})
        print(f"{name:22} {took * 1000:6.1f} ms  {len(found.entries)} entries, by {', '.join(by) or 'the whole table'}")


if __name__ == "__main__":
    main()
