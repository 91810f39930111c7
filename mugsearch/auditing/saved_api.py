"""Saved reviews, the list of weeks, and what signals pointed at, for programs."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import signed_in
from mugsearch.auditing import queries, reviews, services
from mugsearch.auditing.api import ONLY_AUDITORS, EntriesSerializer, PageQuerySerializer
from mugsearch.auditing.forms import FilterForm
from mugsearch.auditing.models import SavedReview, Sighting
from mugsearch.auditing.review_api import SightingSerializer, SignOffSerializer
from mugsearch.auditing.signals import BY_NAME
from mugsearch.errors import WrongState


class OneWeekSerializer(serializers.Serializer[reviews.Week]):
    monday = serializers.DateField()
    due = serializers.DateField()
    is_over = serializers.BooleanField()
    is_overdue = serializers.BooleanField()
    signed_off = SignOffSerializer(source="signed", allow_null=True)


class WeeksSerializer(serializers.Serializer[Any]):
    results = OneWeekSerializer(many=True, help_text="The last 26, the latest first, and all before that are overdue.")
    not_drawn_since = serializers.DateField(
        allow_null=True, help_text="The last day whose signals were drawn, where that should have gone on since."
    )


class SavedReviewSerializer(serializers.ModelSerializer[SavedReview]):
    name = serializers.CharField(max_length=100, help_text="409 where another saved review has it.")
    filters = serializers.DictField(
        child=serializers.CharField(max_length=120, allow_blank=True),
        required=False,
        help_text="actor, case, act, outcome, as the page of the record takes them: names and numbers, not ids.",
    )
    signal = serializers.ChoiceField(choices=sorted(BY_NAME), required=False, allow_blank=True)
    days = serializers.IntegerField(min_value=1, max_value=366)

    class Meta:
        model = SavedReview
        fields = ("id", "name", "days", "signal", "filters", "by", "at")
        read_only_fields = ("by", "at")

    def validate_filters(self, said: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(said.keys() - {*reviews.KEPT, *reviews.NOT_KEPT}):
            raise serializers.ValidationError(f"There is no filter {unknown[0]}.")
        if any("\x00" in value for value in said.values()):
            raise serializers.ValidationError("There is a sign in this that can't be searched for.")
        return said


class SightingQuerySerializer(serializers.Serializer[Any]):
    signal = serializers.ChoiceField(choices=sorted(BY_NAME), required=False)
    days = serializers.IntegerField(
        required=False, min_value=1, max_value=366, default=reviews.LATELY, help_text="Drawn for the last so many."
    )


class Weeks(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_reviews_list", responses=WeeksSerializer)
    def get(self, request: Request) -> Response:
        """The weeks there are to review, and which are signed off or overdue."""
        found = {"results": reviews.weeks(), "not_drawn_since": reviews.not_drawn_since()}
        return Response(WeeksSerializer(found).data)


class Saved(generics.ListAPIView[SavedReview]):
    """Filters or signals under a name, by name. All auditors see them."""

    permission_classes = ONLY_AUDITORS
    serializer_class = SavedReviewSerializer
    queryset = SavedReview.objects.filter(put_away_at=None)

    @extend_schema(request=SavedReviewSerializer, responses={201: SavedReviewSerializer})
    def post(self, request: Request) -> Response:
        """Save one."""
        asked = SavedReviewSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        saved = reviews.save(by=signed_in(request), **asked.validated_data)
        return Response(SavedReviewSerializer(saved).data, status=201)


class PutAway(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, saved_id: UUID) -> Response:
        """Take it off the list; 409 where somebody did."""
        reviews.put_away(by=signed_in(request), saved=get_object_or_404(SavedReview, pk=saved_id))
        return Response(status=204)


class SavedEntries(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(
        operation_id="audit_saved_review_entries", parameters=[PageQuerySerializer], responses=EntriesSerializer
    )
    def get(self, request: Request, saved_id: UUID) -> Response:
        """The entries that a saved review's filters leave now, newest first. One of a signal has sightings instead."""
        saved = get_object_or_404(SavedReview, pk=saved_id, put_away_at=None)
        if saved.signal:
            raise Http404
        asked = PageQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        form = FilterForm({**saved.filters, "since": saved.since.strftime("%Y-%m-%dT%H:%M")})
        if not form.is_valid():
            raise WrongState("There is no entry any more of an act like the one that this review asks for.")
        filters = form.filters(signed_in(request))
        services.read(by=signed_in(request), filters=filters)
        told = asked.validated_data
        page = queries.page(filters, size=told["size"], older_than=told.get("older_than"))
        return Response(EntriesSerializer({"results": page.entries, "older_than": page.older}).data)


class Sightings(generics.ListAPIView[Sighting]):
    """What signals pointed at lately, and searches drawn at random, the latest first."""

    permission_classes = ONLY_AUDITORS
    serializer_class = SightingSerializer
    queryset = Sighting.objects.none()

    def get_queryset(self) -> QuerySet[Sighting]:
        asked = SightingQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        told = asked.validated_data
        return reviews.lately(by=signed_in(self.request), signal=told.get("signal", ""), days=told["days"])

    @extend_schema(operation_id="audit_sightings_list", parameters=[SightingQuerySerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What signals pointed at lately, and searches drawn at random, the latest first."""
        return self.list(request, *args, **kwargs)
