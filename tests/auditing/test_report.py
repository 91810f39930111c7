"""The yearly report: what is counted, of which agency, for whom."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone

from mugsearch.accounts.models import Role
from mugsearch.audit.models import Entry
from mugsearch.auditing import report
from mugsearch.retention.models import ExpungementOrder
from reviews import outcomes
from tests.factories import AgencyFactory, SearchFactory, UserFactory, auditor, clerk, examiner, investigator
from tests.reviews.arrange import examine, finished_search

pytestmark = pytest.mark.django_db

THIS_YEAR = timezone.localdate().year


def with_lead(**kwargs: object):
    search = finished_search(2, **kwargs)
    for _ in range(2):
        examine(examiner(), search, same=(1,))
    return search


def test_searches_are_counted_by_offence_and_by_what_came_of_them():
    with_lead(probe__offence="robbery")
    none = finished_search(1, probe__offence="robbery")
    for _ in range(2):
        examine(examiner(), none)
    finished_search(1, probe__offence="homicide")
    SearchFactory(state="failed", probe__offence="homicide", finished_at=None)
    found = report.of(AgencyFactory(), THIS_YEAR)
    labels = dict(found.by_offence)
    assert list(labels) == ["Homicide", "Robbery"]
    assert labels["Robbery"] == report.Counts(searches=2, leads=1, no_lead=1)
    assert labels["Homicide"] == report.Counts(searches=2, under_way=1, failed=1)
    assert found.total == report.Counts(searches=4, leads=1, no_lead=1, under_way=1, failed=1)
    assert found.thirds == 0


def test_a_false_lead_counts_as_one_and_by_its_latest_outcome_only():
    search = with_lead()
    by = search.probe.case.opened_by
    outcomes.record_outcome(by=by, lead=search.lead, outcome="no_use", note="")
    found = report.of(AgencyFactory(), THIS_YEAR)
    assert (found.false_leads, dict(found.outcomes)["Of no use to the case"]) == (0, 1)
    outcomes.record_outcome(by=by, lead=search.lead, outcome="false_lead", note="")
    found = report.of(AgencyFactory(), THIS_YEAR)
    assert (found.false_leads, dict(found.outcomes)["Of no use to the case"]) == (1, 0)
    assert dict(found.outcomes)["None recorded"] == 0


def test_a_search_that_needs_a_third_counts_as_such_only_when_it_is_over():
    search = finished_search(2)
    examine(examiner(), search, same=(1,))
    examine(examiner(), search)
    assert report.of(AgencyFactory(), THIS_YEAR).thirds == 0
    examine(examiner(), search)
    assert report.of(AgencyFactory(), THIS_YEAR).thirds == 1


def test_other_years_and_other_agencies_are_not_counted():
    shelbyville = AgencyFactory(code="shelbyville")
    SearchFactory(requested_at=timezone.now() - datetime.timedelta(days=800))
    SearchFactory(probe__case__agency=shelbyville, probe__case__opened_by=investigator(agency=shelbyville))
    assert report.of(AgencyFactory(), THIS_YEAR).total.searches == 0
    assert report.of(shelbyville, THIS_YEAR).total.searches == 1
    assert len(report.years(AgencyFactory())) >= 3


def test_purges_are_counted_with_how_long_they_took():
    now = timezone.now()
    one, two = clerk(), clerk()
    for number, hours in enumerate((1, 3, 8)):
        ExpungementOrder.objects.create(
            agency=AgencyFactory(), order_number=str(number), reason="x", state="complete", requested_by=one,
            approved_by=two, approved_at=now, erased_at=now, key_destroyed_at=now, files_removed_at=now,
            uploads_gone_at=now, forgotten_at=now, leavings_gone_at=now, vacuumed_at=now, verified_at=now,
            completed_at=now + datetime.timedelta(hours=hours),
            counts={"photos": 2},
        )  # fmt: skip
    found = report.of(AgencyFactory(), THIS_YEAR).purges
    assert found == report.Purges(approved=3, complete=3, photographs=6, middle=3.0, longest=8.0)


def test_trials_are_no_searches_and_have_a_line_of_their_own(fake_encoder):
    from reviews import trials
    from tests.trials import arrange

    sam = arrange.supervisor()
    arrange.material(sam)
    (trial,) = arrange.prepare(sam, "mated")
    arrange.examine(examiner(), arrange.search_of(trial))
    assert report.of(AgencyFactory(), THIS_YEAR).trials == 0
    trials.close(by=sam, trial=trial)
    found = report.of(AgencyFactory(), THIS_YEAR)
    assert (found.total.searches, found.trials, found.trial_misses.errors) == (0, 1, 1)


def test_the_report_is_a_page_a_spreadsheet_and_json_and_reading_it_is_on_record(page, api):
    with_lead(probe__offence="robbery")
    reader = auditor()
    shown = page(reader).get(reverse("report"))
    assert "Robbery" in shown.text
    sheet = page(reader).get(reverse("report"), {"as": "csv"})
    assert "Searches that ended with a lead,Robbery,1" in sheet.text
    assert f"report-springfield-{THIS_YEAR}.csv" in sheet["Content-Disposition"]
    as_json = api(reader).get(reverse("api_report")).json()
    (row,) = as_json["by_offence"]
    assert (row["offence"], row["leads"]) == ("Robbery", 1)
    assert as_json["leads_by_outcome"]["False lead: it was somebody else"] == 0
    assert Entry.objects.filter(act="report.read", actor=reader.pk).count() == 3
    assert "No search was requested" in page(reader).get(reverse("report"), {"year": "2001"}).text


@pytest.mark.parametrize(
    "asked", [{"year": "no"}, {"year": "99999"}, {"agency": "nowhere"}, {"year": "²"}, {"year": "1" * 5000}]
)
def test_a_report_of_nothing_is_not_found(page, asked):
    assert page(auditor()).get(reverse("report"), asked).status_code == 404


def test_supervisors_read_of_their_agency_only_and_others_not_at_all(page, api):
    AgencyFactory(code="shelbyville")
    sam = UserFactory(roles=[Role.SUPERVISOR])
    assert page(sam).get(reverse("report")).status_code == 200
    assert page(sam).get(reverse("report"), {"agency": "shelbyville"}).status_code == 404
    assert page(auditor()).get(reverse("report"), {"agency": "shelbyville"}).status_code == 200
    both = UserFactory(roles=[Role.SUPERVISOR, Role.EXAMINER], certified=True)
    for stranger in (investigator(), examiner(), clerk(), both):
        assert page(stranger).get(reverse("report")).status_code == 403
        assert api(stranger).get(reverse("api_report")).status_code == 403
