"""The yearly report as a page, a spreadsheet, and over REST."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch import spreadsheet
from mugsearch.accounts import fresh
from mugsearch.accounts.access import needs, role_permission, signed_in
from mugsearch.accounts.models import Agency, Role, User
from mugsearch.audit import services as audit
from mugsearch.auditing import report as reports
from mugsearch.errors import NotAllowed

READERS = (Role.AUDITOR, Role.SUPERVISOR)


@needs(*READERS)
@require_GET
def report(request: HttpRequest) -> HttpResponse:
    by = signed_in(request)
    found = _asked(by, request.GET)
    if request.GET.get("as") == "csv":
        fresh.require(request)
        lines = spreadsheet.lines([("section", "what", "figure"), *found.rows])
        name = f"mugsearch-report-{found.agency.code}-{found.year}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse("".join(lines), content_type="text/csv; charset=utf-8", headers=headers)
    context = {
        "report": found,
        "years": reports.years(found.agency),
        "agencies": _agencies(by),
        "as_csv": urlencode({"agency": found.agency.code, "year": found.year, "as": "csv"}),
    }
    return render(request, "auditing/report.html", context)


class CountsSerializer(serializers.Serializer[Any]):
    searches = serializers.IntegerField()
    leads = serializers.IntegerField()
    no_lead = serializers.IntegerField()
    under_way = serializers.IntegerField()
    failed = serializers.IntegerField()


class OffenceSerializer(CountsSerializer):
    offence = serializers.CharField()


class ReportSerializer(serializers.Serializer[Any]):
    agency = serializers.CharField()
    year = serializers.IntegerField()
    by_offence = OffenceSerializer(many=True)
    total = CountsSerializer()
    needed_a_third_examiner = serializers.IntegerField()
    leads_by_outcome = serializers.DictField(child=serializers.IntegerField())
    leads_withdrawn = serializers.DictField(child=serializers.IntegerField())
    purges = serializers.DictField(help_text="Times in hours, from the approval.")
    trials = serializers.DictField(help_text="Known-answer trials that are closed.")


class YearlyReport(APIView):
    permission_classes = (role_permission(*READERS),)

    @extend_schema(
        parameters=[OpenApiParameter("year", int), OpenApiParameter("agency", str, description="Its code.")],
        responses=ReportSerializer,
    )
    def get(self, request: Request) -> Response:
        """What an agency did in a year, in counts."""
        found = _asked(signed_in(request), request.query_params)
        return Response(
            {
                "agency": found.agency.code,
                "year": found.year,
                "by_offence": [{"offence": label, **asdict(counts)} for label, counts in found.by_offence],
                "total": asdict(found.total),
                "needed_a_third_examiner": found.thirds,
                "leads_by_outcome": dict(found.outcomes),
                "leads_withdrawn": dict(found.withdrawn),
                "purges": asdict(found.purges),
                "trials": {
                    "examinations": found.trials,
                    "missed": asdict(found.trial_misses),
                    "false_leads": asdict(found.trial_false_leads),
                },
            }
        )


def _asked(by: User, given: Mapping[str, Any]) -> reports.Report:
    """One's own agency and this year, where nothing else is asked for. Auditors read of every agency."""
    if by.holds(Role.EXAMINER):  # what waits for them and is no search in the report is a trial
        raise NotAllowed("Whoever examines can't read the report: it would tell trials from casework.")
    agencies = {agency.code: agency for agency in _agencies(by)}
    own = by.agency.code if by.agency else next(iter(agencies), "")
    agency = agencies.get(given.get("agency") or own)
    year = given.get("year") or str(timezone.localdate().year)
    if agency is None or not re.fullmatch(r"(19[7-9]|[2-8]\d\d)\d", year, re.ASCII):
        raise Http404
    audit.record("report.read", by=by, obj=agency, year=int(year))
    return reports.of(agency, int(year))


def _agencies(by: User) -> list[Agency]:
    if by.has_role(Role.AUDITOR):
        return list(Agency.objects.all())
    return [by.agency] if by.agency else []
