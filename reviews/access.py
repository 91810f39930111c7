"""Which examination, lead or line-up a page or the API is asked for. What isn't theirs to see is a 404."""

from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from mugsearch.accounts.access import signed_in
from reviews.models import Examination, Lead, Lineup


def own_examination(request: HttpRequest | Request, examination_id: UUID) -> Examination:
    mine: Examination = get_object_or_404(
        Examination.objects.visible_to(signed_in(request)).select_related("search__probe"), pk=examination_id
    )
    return mine


def visible(request: HttpRequest | Request, lead_id: UUID) -> Lead:
    mine = Lead.objects.visible_to(signed_in(request))
    found: Lead = get_object_or_404(
        mine.select_related("search__probe__case", "search__edit__probe", "search__encoder", "candidate__photo"),
        pk=lead_id,
    )
    return found


def visible_lineup(request: HttpRequest | Request, lead_id: UUID, lineup_id: UUID) -> Lineup:
    of_lead = Lineup.objects.filter(lead=visible(request, lead_id))
    return get_object_or_404(of_lead.select_related("lead__search__probe__case", "exported_by"), pk=lineup_id)
