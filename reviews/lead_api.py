"""What investigators read over REST: how far an examination is, what it came to, and leads, each with the notice."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import FilterSet, UUIDFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.gallery.models import Booking, Person
from mugsearch.probes.calibration_api import FalsePositivesSerializer
from mugsearch.probes.models import Search
from mugsearch.vault.responses import image
from reviews import leads, outcomes, pictures, queries
from reviews.access import visible
from reviews.api import MarkSerializer
from reviews.models import Lead, LeadOutcome
from reviews.notice import NOTICE
from reviews.worksheet import Row

INVESTIGATOR = [role_permission(Role.INVESTIGATOR)]
JPEG: Any = {(200, "image/jpeg"): OpenApiTypes.BINARY}


class RankSerializer(serializers.Serializer[queries.Rank]):
    """A place on the list once the examination is over. Who was not confirmed is not named."""

    rank = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True, help_text="Cosine, -1 to 1.")
    false_positives = FalsePositivesSerializer(allow_null=True)
    gone = serializers.BooleanField()
    is_lead = serializers.BooleanField()
    conclusions = serializers.ListField(child=serializers.CharField(allow_blank=True))
    rating = serializers.FloatField(allow_null=True, help_text="The mean of the examiners' ratings, -3 to 3.")


class SearchExaminationSerializer(serializers.Serializer[Any]):
    examiners_needed = serializers.IntegerField()
    concluded = serializers.IntegerField()
    candidates = serializers.IntegerField(help_text="Who need a finding; tombstones do not count.")
    over = serializers.BooleanField()
    result = serializers.ChoiceField(choices=["lead", "no_lead"], allow_null=True)
    concluded_at = serializers.DateTimeField(allow_null=True)
    lead = serializers.UUIDField(allow_null=True)
    ceiling = serializers.FloatField(
        allow_null=True, help_text="Nobody else in the gallery can score above it. Null before the examination is over."
    )
    ranks = RankSerializer(many=True)


class PersonSerializer(serializers.ModelSerializer[Person]):
    person_id = serializers.CharField()
    family_name = serializers.CharField()
    given_names = serializers.CharField()
    date_of_birth = serializers.DateField(allow_null=True)

    class Meta:
        model = Person
        fields = ("person_id", "family_name", "given_names", "date_of_birth", "sex")


class LeadBookingSerializer(serializers.ModelSerializer[Booking]):
    booking_number = serializers.CharField()

    class Meta:
        model = Booking
        fields = ("booking_number", "booked_on", "height_in", "weight_lb")


class WorksheetRowSerializer(serializers.Serializer[Row]):
    """A component of which something was said, noted or drawn; drawn in shares of the sides of the two images here."""

    component = serializers.CharField()
    said = serializers.CharField()
    notes = serializers.CharField()
    drawn = MarkSerializer(many=True)


class ConfirmationSerializer(serializers.Serializer[queries.Confirmation]):
    conclusion = serializers.CharField()
    confirms = serializers.BooleanField(help_text="False of the one that two others outvoted.")
    notes = serializers.CharField()
    worksheet = WorksheetRowSerializer(many=True)
    concluded_at = serializers.DateTimeField()


class SiblingSerializer(serializers.Serializer[queries.Sibling]):
    """Another photo of the person: `rank` among photos, null when it did not return."""

    rank = serializers.IntegerField(allow_null=True)
    score = serializers.FloatField(allow_null=True, help_text="Cosine, -1 to 1.")
    booking_number = serializers.CharField(source="booking.booking_number")
    image = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.URI)
    def get_image(self, sibling: queries.Sibling) -> str:
        return reverse(
            "api_lead_sibling_image", args=[self.context["lead"], sibling.number], request=self.context["request"]
        )


class NoticeMixin(serializers.Serializer[Any]):
    notice = serializers.SerializerMethodField()

    def get_notice(self, lead: Any) -> str:
        return NOTICE


class LeadSerializer(NoticeMixin, serializers.ModelSerializer[Lead]):
    case = serializers.UUIDField(source="search.probe.case_id", read_only=True)
    outcome = serializers.ChoiceField(
        choices=LeadOutcome.Outcome.choices, allow_null=True, read_only=True, help_text="What became of it so far."
    )

    class Meta:
        model = Lead
        fields = ("notice", "id", "search", "case", "released_at", "withdrawn_at", "withdrawn_why", "outcome")


class LeadSheetSerializer(NoticeMixin):
    """`person`, `booking`, `siblings` and `candidate_image` are empty once the lead is withdrawn."""

    id = serializers.UUIDField(source="lead.pk")
    search = serializers.UUIDField(source="lead.search_id")
    case = serializers.UUIDField(source="lead.search.probe.case_id")
    released_at = serializers.DateTimeField(source="lead.released_at")
    withdrawn_at = serializers.DateTimeField(source="lead.withdrawn_at", allow_null=True)
    withdrawn_why = serializers.ChoiceField(source="lead.withdrawn_why", choices=Lead.Why.choices, allow_blank=True)
    withdrawn_reason = serializers.CharField(source="lead.withdrawn_reason", help_text="Empty after an expungement.")
    outcome = serializers.SerializerMethodField(help_text="What became of it so far; false_lead: it was somebody else.")
    searched_with = serializers.CharField(
        source="lead.search.edit.words",
        default=None,
        allow_null=True,
        help_text="What was done to the copy of the probe that was searched with; null: the original.",
    )
    list_size = serializers.IntegerField(source="lead.search.list_size")
    gallery_size = serializers.IntegerField(source="lead.search.gallery_size")
    encoder = serializers.CharField(source="lead.search.encoder.name")
    person = PersonSerializer(allow_null=True)
    booking = LeadBookingSerializer(allow_null=True)
    probe_image = serializers.SerializerMethodField()
    candidate_image = serializers.SerializerMethodField()
    rating = serializers.FloatField(allow_null=True, help_text="Fused: the mean of the examiners' ratings, -3 to 3.")
    false_positives = FalsePositivesSerializer(allow_null=True)
    confirmations = ConfirmationSerializer(many=True)
    siblings = SiblingSerializer(many=True)
    ranks = RankSerializer(many=True)

    @extend_schema_field(serializers.ChoiceField(choices=LeadOutcome.Outcome.choices, allow_null=True))
    def get_outcome(self, sheet: queries.LeadSheet) -> str | None:
        said = outcomes.latest(sheet.lead)
        return said.outcome if said else None

    @extend_schema_field(OpenApiTypes.URI)
    def get_probe_image(self, sheet: queries.LeadSheet) -> str:
        return reverse("api_lead_probe_image", args=[sheet.lead.pk], request=self.context["request"])

    @extend_schema_field(OpenApiTypes.URI)
    def get_candidate_image(self, sheet: queries.LeadSheet) -> str | None:
        if sheet.person is None:
            return None
        return reverse("api_lead_candidate_image", args=[sheet.lead.pk], request=self.context["request"])


class SearchExamination(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses=SearchExaminationSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """How far the examination of a search is. Result, lead and list are empty until it is over."""
        search = get_object_or_404(Search.objects.visible_to(signed_in(request)).select_related("probe"), pk=pk)
        audit.record("search.viewed", by=signed_in(request), obj=search, case=search.probe.case_id)
        state = queries.examination_state(search)
        lead = queries.lead_of(search) if state.over else None
        answer = {
            **vars(state),
            "lead": lead.pk if lead else None,
            "ceiling": search.ceiling if state.over else None,
            "ranks": queries.list_of(search),
        }
        return Response(SearchExaminationSerializer(answer).data)


class LeadFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    search = UUIDFilter()

    class Meta:
        model = Lead
        fields = ("search",)


class Leads(Recorded, generics.ListAPIView[Lead]):
    """The leads of your cases, the newest first."""

    thing = "lead"
    permission_classes = INVESTIGATOR
    serializer_class = LeadSerializer
    filterset_class = LeadFilter
    queryset = Lead.objects.none()

    def get_queryset(self) -> Any:
        mine = Lead.objects.visible_to(signed_in(self.request)).select_related("search__probe")
        return outcomes.with_outcome(mine)


class OneLead(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses=LeadSheetSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """A lead with both examinations, the person's other photographs and the fate of the list."""
        lead = visible(request, pk)
        leads.opened(by=signed_in(request), lead=lead)
        context = {"request": request, "lead": lead.pk}
        return Response(LeadSheetSerializer(queries.lead_sheet(lead), context=context).data)


class LeadProbeImage(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses=JPEG)
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The probe image, upright."""
        return image(pictures.probe_of_lead(by=signed_in(request), lead=visible(request, pk)))


class LeadCandidateImage(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses=JPEG)
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The booking photograph; 404 once the lead is withdrawn."""
        return image(pictures.candidate_of_lead(by=signed_in(request), lead=visible(request, pk)))


class LeadSiblingImage(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses=JPEG)
    def get(self, request: Request, pk: UUID, number: int) -> HttpResponse:
        """Another photograph of the person, small."""
        return image(pictures.sibling_of_lead(by=signed_in(request), lead=visible(request, pk), number=number))
