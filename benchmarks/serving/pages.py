"""Every page and every list of the API that shows rows: which there are, how many queries one takes, and how long.

What the URL resolver has beside these is named as not measured: it changes something, or sends a picture or a file.
"""

import http.client
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from serving.records import LARGE_CASE, Staff

from mugsearch.accounts.models import Role, Sitting, User
from mugsearch.audit.models import Entry
from mugsearch.gallery.models import ImportRun, Person, Photo
from mugsearch.probes.models import Case
from mugsearch.retention.models import ExpungementOrder
from reviews.models import Evidence, Examination, Lead, Lineup

TIMES = 20  # every page is asked for


@dataclass(frozen=True, eq=False)
class Page:
    """A role's page, by the name of its address. `query`: a list is asked for in several ways."""

    role: Role
    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return reverse(self.name, kwargs=self.kwargs) + (f"?{urlencode(self.query)}" if self.query else "")

    def __str__(self) -> str:
        return f"{self.name} {' '.join(f'{key}={value}' for key, value in self.query.items())}".strip()


def every_page(staff: Staff) -> list[Page]:
    """Of rows that are there from the first fill on, so that a page is the same one however many come after it."""
    return [*_of_records(staff), *_of_investigators(staff), *_of_the_others(staff)]


def not_measured(pages: list[Page]) -> list[str]:
    return sorted(set(_names(get_resolver())) - {page.name for page in pages})


def _names(resolver: URLResolver) -> Iterator[str]:
    for found in resolver.url_patterns:
        if isinstance(found, URLResolver):
            yield from _names(found)
        elif isinstance(found, URLPattern):
            yield found.name or str(found.pattern)


def _of_records(staff: Staff) -> Iterator[Page]:
    person = Person.objects.exclude(name_digest="").order_by("created_at", "pk")[50]
    booking = person.bookings.first()
    photo = booking.photos.first()
    waiting = Photo.objects.undecided().order_by("created_at", "pk")[0]
    run = ImportRun.objects.filter(rejects__isnull=False).order_by("created_at")[0]
    order = ExpungementOrder.objects.filter(state="complete").order_by("requested_at")[0]
    requested = ExpungementOrder.objects.filter(state="requested").order_by("requested_at")[0]
    number = booking.booking_number
    last = {"page": "999999"}
    # Everybody, a person id, a booking number, nobody.
    for text in ("", person.person_id, number, "nobodyhasthis"):
        yield Page(Role.RECORDS, "people", query={"q": text})
        yield Page(Role.RECORDS, "api_people", query={"search": text})
    born = {"born": person.date_of_birth.isoformat()}
    yield Page(Role.RECORDS, "people")
    yield Page(Role.RECORDS, "people", query={"q": "", **last})
    yield Page(Role.RECORDS, "people", query={"q": number, **last})
    yield Page(Role.RECORDS, "people", query={"q": str(person), **born})
    yield Page(Role.RECORDS, "person", {"person_id": person.pk})
    yield Page(Role.RECORDS, "edit_person", {"person_id": person.pk})
    yield Page(Role.RECORDS, "booking", {"booking_id": booking.pk})
    yield Page(Role.RECORDS, "edit_booking", {"booking_id": booking.pk})
    yield Page(Role.RECORDS, "waiting_photos")
    yield Page(Role.RECORDS, "waiting_photos", query=last)
    yield Page(Role.RECORDS, "photo", {"photo_id": waiting.pk})
    yield Page(Role.RECORDS, "imports")
    yield Page(Role.RECORDS, "imports", query=last)
    yield Page(Role.RECORDS, "new_import")
    yield Page(Role.RECORDS, "import_run", {"run_id": run.pk})
    yield Page(Role.RECORDS, "import_run", {"run_id": run.pk}, last)
    yield Page(Role.RECORDS, "import_progress", {"run_id": run.pk})
    yield Page(Role.RECORDS, "expungements")
    yield Page(Role.RECORDS, "expungements", query=last)
    yield Page(Role.RECORDS, "new_expungement")
    yield Page(Role.RECORDS, "new_expungement", query={"booking": str(booking.pk)})
    yield Page(Role.RECORDS, "expungement", {"order_id": requested.pk})
    yield Page(Role.RECORDS, "expungement_certificate", {"order_id": order.pk})
    for query in ({}, last):
        yield Page(Role.RECORDS, "holds", query=query)
    yield Page(Role.RECORDS, "new_hold", {"booking_id": booking.pk})
    for name in ("retention", "stale_bookings", "unmatched_dispositions", "new_disposition", "disposition_file"):
        yield Page(Role.RECORDS, name)
    for name in ("api_retention", "api_stale_bookings", "api_dispositions", "api_unmatched_dispositions"):
        yield Page(Role.RECORDS, name)
    yield Page(Role.RECORDS, "booking_dispositions", {"booking_id": booking.pk})
    last = {"page": "last"}
    for query in ({}, last, {"person_id": person.person_id}, {"search": str(person), **born}):
        yield Page(Role.RECORDS, "api_people", query=query)
    day = {"booked_on": booking.booked_on.isoformat()}
    for query in ({}, last, {"booking_number": number}, {"person": str(person.pk)}, day):
        yield Page(Role.RECORDS, "api_bookings", query=query)
    several = {"trouble": "several_faces"}
    for query in ({}, last, {"state": "waiting"}, {"state": "enrolled"}, several, {"booking": str(booking.pk)}):
        yield Page(Role.RECORDS, "api_photos", query=query)
    for query in ({}, last, {"state": "done"}):
        yield Page(Role.RECORDS, "api_imports", query=query)
    for query in ({}, last, {"state": "requested"}):
        yield Page(Role.RECORDS, "api_expungements", query=query)
    for query in ({}, last):
        yield Page(Role.RECORDS, "api_holds", query=query)
    for query in ({}, last):
        yield Page(Role.RECORDS, "api_import_rejects", {"pk": run.pk}, query)
    yield Page(Role.RECORDS, "api_person", {"pk": person.pk})
    yield Page(Role.RECORDS, "api_booking", {"pk": booking.pk})
    yield Page(Role.RECORDS, "api_photo", {"pk": photo.pk})
    yield Page(Role.RECORDS, "api_import", {"pk": run.pk})
    yield Page(Role.RECORDS, "api_expungement", {"pk": requested.pk})
    yield Page(Role.RECORDS, "api_preview_expungement", {"pk": requested.pk})


def _of_investigators(staff: Staff) -> Iterator[Page]:
    me = staff.of_role[Role.INVESTIGATOR]
    lead = Lead.objects.visible_to(me).order_by("released_at", "pk").select_related("search__probe__case")[0]
    search, probe, case = lead.search, lead.search.probe, lead.search.probe.case
    large = Case.objects.get(number=LARGE_CASE)
    for query in ({}, {"page": "999999"}, {"number": "26"}, {"number": case.number}, {"number": "none"}):
        yield Page(Role.INVESTIGATOR, "cases", query=query)
    for query in ({}, {"page": "999999"}):
        yield Page(Role.INVESTIGATOR, "case", {"case_id": large.pk}, query)
    yield Page(Role.INVESTIGATOR, "new_probe")
    yield Page(Role.INVESTIGATOR, "probe", {"probe_id": probe.pk})
    yield Page(Role.INVESTIGATOR, "search", {"search_id": search.pk})
    yield Page(Role.INVESTIGATOR, "search_repeats", {"search_id": search.pk})
    yield Page(Role.INVESTIGATOR, "lead", {"lead_id": lead.pk})
    lineup = _lineup(me, lead)
    yield Page(Role.INVESTIGATOR, "lineup", {"lead_id": lead.pk, "lineup_id": lineup.pk})
    for name in ("api_lead_evidence", "api_lead_outcomes", "api_lead_lineups"):
        yield Page(Role.INVESTIGATOR, name, {"pk": lead.pk})
    yield Page(Role.INVESTIGATOR, "api_lineup", {"pk": lead.pk, "lineup": lineup.pk})
    for name in ("api_overdue_leads", "api_withdrawn_leads"):
        for query in ({}, {"page": "last"}):
            yield Page(Role.INVESTIGATOR, name, query=query)
    last = {"page": "last"}
    for query in ({}, last, {"number": case.number}):
        yield Page(Role.INVESTIGATOR, "api_cases", query=query)
    yield Page(Role.INVESTIGATOR, "api_case_priority", {"pk": case.pk})
    for query in ({}, last, {"case": str(large.pk)}, {"state": "ready"}):
        yield Page(Role.INVESTIGATOR, "api_probes", query=query)
    for query in ({}, last, {"probe": str(probe.pk)}, {"state": "done"}):
        yield Page(Role.INVESTIGATOR, "api_searches", query=query)
    for query in ({}, last, {"search": str(search.pk)}):
        yield Page(Role.INVESTIGATOR, "api_leads", query=query)
    yield Page(Role.INVESTIGATOR, "api_me")
    yield Page(Role.INVESTIGATOR, "api_probe", {"pk": probe.pk})
    yield Page(Role.INVESTIGATOR, "api_search", {"pk": search.pk})
    yield Page(Role.INVESTIGATOR, "api_repeats", {"pk": search.pk})
    yield Page(Role.INVESTIGATOR, "api_search_examination", {"pk": search.pk})
    yield Page(Role.INVESTIGATOR, "api_lead", {"pk": lead.pk})


def _lineup(me: User, lead: Lead) -> Lineup:
    """As an export leaves it, of photographs whose rows are here: the made gallery records no sex to choose by."""
    evidence = {"kind": "witness", "source": "A letter", "obtained_on": timezone.localdate()}
    Evidence.objects.create(lead=lead, recorded_by=me, attested_at=timezone.now(), **evidence)
    photos = [str(pk) for pk in Photo.objects.enrolled().values_list("pk", flat=True)[:6]]
    return Lineup.objects.create(lead=lead, photos=photos, candidate_place=1, exported_by=me)


def _of_the_others(staff: Staff) -> Iterator[Page]:
    examiner, administrator = staff.of_role[Role.EXAMINER], staff.of_role[Role.ADMINISTRATOR]
    mine = Examination.objects.concluded().filter(examiner=examiner).order_by("claimed_at", "pk")[0]
    begun = Examination.objects.get(examiner=examiner, state=Examination.State.CLAIMED)
    yield Page(Role.EXAMINER, "queue")
    for examination in (mine, begun):
        yield Page(Role.EXAMINER, "examination", {"examination_id": examination.pk})
    yield Page(Role.EXAMINER, "conclude", {"examination_id": begun.pk})
    for query in ({}, {"page": "last"}, {"state": "concluded"}):
        yield Page(Role.EXAMINER, "api_examinations", query=query)
    yield Page(Role.EXAMINER, "api_examination_queue")
    yield Page(Role.EXAMINER, "api_examination", {"pk": mine.pk})
    for query in ({}, {"page": "999999"}):
        yield Page(Role.SUPERVISOR, "open_examinations", query=query)
        yield Page(Role.SUPERVISOR, "confirmed_leads", query=query)
    for query in ({}, {"page": "last"}):
        yield Page(Role.SUPERVISOR, "api_open_examinations", query=query)
        yield Page(Role.SUPERVISOR, "api_confirmed_leads", query=query)
    for name in ("report", "api_report", "trials", "trial_material", "trial_examiners", "calibrations"):
        yield Page(Role.SUPERVISOR, name)
    for name in ("api_trials", "api_trial_material", "api_trial_examiners", "api_calibrations"):
        yield Page(Role.SUPERVISOR, name)
    yield Page(Role.EXAMINER, "my_trials")
    yield Page(Role.EXAMINER, "api_my_trials")
    for query in ({}, {"page": "999999"}):
        yield Page(Role.ADMINISTRATOR, "users", query=query)
    for query in ({}, {"page": "last"}, {"username": "auditor"}, {"is_active": "true"}):
        yield Page(Role.ADMINISTRATOR, "api_users", query=query)
    yield Page(Role.ADMINISTRATOR, "user", {"user_id": administrator.pk})
    yield Page(Role.ADMINISTRATOR, "api_user", {"pk": administrator.pk})
    yield Page(Role.ADMINISTRATOR, "record_certificate", {"user_id": administrator.pk})
    for name in ("policy", "api_policy", "api_policy_versions"):
        yield Page(Role.ADMINISTRATOR, name)
    search = mine.search
    case = search.probe.case
    entry = Entry.objects.filter(act="search.viewed").order_by("number")[0]
    actor = str(staff.of_role[Role.INVESTIGATOR].pk)
    filters = [
        *({}, {"older_than": "30"}, {"act": "person.viewed"}, {"act": "people.searched", "older_than": "100"}),
        *({"actor": actor}, {"actor": str(staff.second_investigator.pk)}, {"actor": actor, "act": "search.viewed"}),
        *({"outcome": "refused"}, {"object": entry.object_id}, {"since": "2024-01-01T00:00"}),
        {"before": "2024-01-01T06:00"},
    ]
    for query in (*filters, {"newer_than": "10"}, {"case": case.number}, {"case": "none"}):
        yield Page(Role.AUDITOR, "audit", query=query)
    for query in (*filters, {"case": str(case.pk)}, {"case_number": case.number}, {"size": "500"}):
        yield Page(Role.AUDITOR, "api_audit", query=query)
    yield Page(Role.AUDITOR, "audit_entry", {"number": entry.number})
    yield Page(Role.AUDITOR, "api_audit_entry", {"number": entry.number})
    yield Page(Role.AUDITOR, "verify_audit")
    yield Page(Role.AUDITOR, "audit_heads")
    yield Page(Role.AUDITOR, "api_audit_heads")
    yield Page(Role.AUDITOR, "disclosure", query={"number": case.number})
    yield Page(Role.AUDITOR, "disclosure_of_search", {"search_id": search.pk})
    yield Page(Role.AUDITOR, "audit_search", {"search_id": search.pk})
    yield Page(Role.AUDITOR, "audit_search_repeats", {"search_id": search.pk})


def queries_of(page: Page, user: User) -> int:
    """How many queries the page takes, asked for in this process."""
    client = _signed_in(user)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(page.path)
        if answer.streaming:
            list(answer)
    if answer.status_code != 200:
        raise SystemExit(f"{page.path} answered {answer.status_code}")
    return len(captured)


def seconds_of(pages: list[Page], staff: Staff, address: str) -> dict[Page, list[float]]:
    """How long the running system takes to answer each page, asked for one after another, TIMES times."""
    cookies = {
        role: _signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value for role, user in staff.of_role.items()
    }
    taken: dict[str, list[float]] = {page.path: [] for page in pages}
    for round_ in range(TIMES + 1):
        for page in pages:
            seconds = _ask(address, page.path, cookies[page.role])
            if round_:  # the first is to have everything loaded
                taken[page.path].append(seconds)
    return {page: taken[page.path] for page in pages}


def _ask(address: str, path: str, session: str) -> float:
    server = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        started = time.perf_counter()
        server.request("GET", path, headers={"Cookie": f"sessionid={session}"})
        answer = server.getresponse()
        answer.read()
        seconds = time.perf_counter() - started
    finally:
        server.close()
    if answer.status != http.client.OK:
        raise SystemExit(f"{path} answered {answer.status}")
    return seconds


def _signed_in(user: User) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    Sitting.objects.create(user=user, session_key=client.session.session_key)
    return client
