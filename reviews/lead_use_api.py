"""What is done with a lead over REST: evidence, outcomes, line-ups; which leads wait, which were withdrawn."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.probes import policy
from mugsearch.vault.responses import image
from reviews import evidence as evidences
from reviews import leads, outcomes, pictures
from reviews import lineup as lineups
from reviews.access import visible, visible_lineup
from reviews.lead_api import INVESTIGATOR, JPEG, LeadSerializer, NoticeMixin
from reviews.models import Evidence, Lead, LeadOutcome, Lineup

SUPERVISOR = [role_permission(Role.SUPERVISOR)]
LINEUPS = [role_permission(Role.INVESTIGATOR, sensitive=Sensitive.EXPORT)]


class EvidenceSerializer(serializers.ModelSerializer[Evidence]):
    kind_label = serializers.SerializerMethodField()
    recorded_by = serializers.CharField(source="recorded_by.full_name", read_only=True)

    class Meta:
        model = Evidence
        fields = ("id", "kind", "kind_label", "source", "obtained_on", "recorded_by", "recorded_at", "attested_at")

    def get_kind_label(self, evidence: Evidence) -> str:
        return evidences.label_of(evidence.kind, self.context["policy"])


class NewEvidenceSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField(max_length=40, help_text="A code of the policy's kinds of evidence.")
    source = serializers.CharField(max_length=Evidence.SOURCE_LIMIT)  # type: ignore[assignment]  # a field's name here
    obtained_on = serializers.DateField()
    attested = serializers.BooleanField(help_text=evidences.ATTESTATION)


class OutcomeSerializer(serializers.ModelSerializer[LeadOutcome]):
    outcome_label = serializers.CharField(source="get_outcome_display", read_only=True)
    recorded_by = serializers.CharField(source="recorded_by.full_name", read_only=True)

    class Meta:
        model = LeadOutcome
        fields = ("id", "outcome", "outcome_label", "note", "recorded_by", "recorded_at")


class NewOutcomeSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=LeadOutcome.Outcome.choices)
    note = serializers.CharField(max_length=LeadOutcome.NOTE_LIMIT, allow_blank=True, default="")


class LineupPlaceSerializer(serializers.Serializer[Any]):
    place = serializers.IntegerField(source="number")
    image = serializers.SerializerMethodField(help_text="Null where the photograph is not shown any more.")

    @extend_schema_field(OpenApiTypes.URI)
    def get_image(self, place: lineups.Place) -> str | None:
        if place.photo is None:
            return None
        lineup = self.context["lineup"]
        return reverse(
            "api_lineup_photo", args=[lineup.lead_id, lineup.pk, place.number], request=self.context["request"]
        )


class LineupSerializer(NoticeMixin, serializers.ModelSerializer[Lineup]):
    """Which place is the candidate's is not told: whoever shows a line-up should not know."""

    statement = serializers.SerializerMethodField()
    exported_by = serializers.CharField(source="exported_by.full_name", read_only=True)
    places = serializers.SerializerMethodField()

    class Meta:
        model = Lineup
        fields = ("notice", "statement", "id", "lead", "exported_by", "exported_at", "places")

    def get_statement(self, lineup: Lineup) -> str:
        return lineups.STATEMENT

    @extend_schema_field(LineupPlaceSerializer(many=True))
    def get_places(self, lineup: Lineup) -> Any:
        context = {**self.context, "lineup": lineup}
        return LineupPlaceSerializer(lineups.places(lineup), many=True, context=context).data


class LeadEvidence(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(operation_id="leads_evidence_list", responses=EvidenceSerializer(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        """The independent evidence recorded for a lead, the oldest first."""
        lead = _opened(request, pk)
        found, context = lead.evidence.select_related("recorded_by"), {"policy": policy.current()}
        return Response(EvidenceSerializer(found, many=True, context=context).data)

    @extend_schema(request=NewEvidenceSerializer, responses={201: EvidenceSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Record evidence that does not come from face recognition; 409 for a withdrawn lead."""
        lead, body = visible(request, pk), NewEvidenceSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        recorded = evidences.record_evidence(by=signed_in(request), lead=lead, **body.validated_data)
        context = {"policy": policy.current()}
        return Response(EvidenceSerializer(recorded, context=context).data, status=status.HTTP_201_CREATED)


class LeadOutcomes(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(operation_id="leads_outcomes_list", responses=OutcomeSerializer(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        """What was said to have become of a lead: the first row counts, the others are what it corrected."""
        lead = _opened(request, pk)
        return Response(OutcomeSerializer(lead.outcomes.select_related("recorded_by"), many=True).data)

    @extend_schema(request=NewOutcomeSerializer, responses={201: OutcomeSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Record what became of a lead, or correct it."""
        lead, body = visible(request, pk), NewOutcomeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        recorded = outcomes.record_outcome(by=signed_in(request), lead=lead, **body.validated_data)
        return Response(OutcomeSerializer(recorded).data, status=status.HTTP_201_CREATED)


class LeadLineups(APIView):
    permission_classes = LINEUPS

    @extend_schema(operation_id="leads_lineups_list", responses=LineupSerializer(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        """The line-ups exported from a lead, the newest first."""
        lead = _opened(request, pk)
        found = lead.lineups.select_related("lead", "exported_by")
        return Response(LineupSerializer(found, many=True, context={"request": request}).data)

    @extend_schema(request=None, responses={201: LineupSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Compose a line-up; 409 without independent evidence, of a withdrawn lead, or with too few people."""
        made = lineups.export(by=signed_in(request), lead=visible(request, pk))
        return Response(LineupSerializer(made, context={"request": request}).data, status=status.HTTP_201_CREATED)


class OneLineup(APIView):
    permission_classes = LINEUPS

    @extend_schema(responses=LineupSerializer)
    def get(self, request: Request, pk: UUID, lineup: UUID) -> Response:
        """A line-up; a place whose photograph was expunged since has no image."""
        found = visible_lineup(request, pk, lineup)
        case = leads.case_of(found.lead)
        audit.record("lineup.viewed", by=signed_in(request), obj=found, case=case, lead=str(found.lead_id))
        return Response(LineupSerializer(found, context={"request": request}).data)


class LineupPhoto(APIView):
    permission_classes = LINEUPS

    @extend_schema(responses=JPEG)
    def get(self, request: Request, pk: UUID, lineup: UUID, place: int) -> HttpResponse:
        """The face at one place; 404 once it was expunged or the lead withdrawn."""
        found = visible_lineup(request, pk, lineup)
        return image(pictures.place_of_lineup(by=signed_in(request), lineup=found, place=place))


class OverdueLeads(Recorded, generics.ListAPIView[Lead]):
    """Leads of your cases without an outcome for longer than the policy's days, the oldest first."""

    thing = "lead"
    permission_classes = INVESTIGATOR
    serializer_class = LeadSerializer
    queryset = Lead.objects.none()

    def get_queryset(self) -> Any:
        return outcomes.with_outcome(outcomes.overdue(signed_in(self.request)))


class WithdrawnLeads(Recorded, generics.ListAPIView[Lead]):
    """Leads you opened that were withdrawn since. Opening one takes it off this list."""

    thing = "lead"
    permission_classes = INVESTIGATOR
    serializer_class = LeadSerializer
    queryset = Lead.objects.none()

    def get_queryset(self) -> Any:
        return outcomes.with_outcome(leads.withdrawn_unread(signed_in(self.request)))


class ConfirmationRecordSerializer(serializers.Serializer[Any]):
    examiner = serializers.CharField()
    concluded_at = serializers.DateTimeField()
    covered = serializers.BooleanField(help_text="Whether a certificate that covers the day is on record today.")


class ConfirmedLeadSerializer(serializers.ModelSerializer[Lead]):
    confirmed_by = serializers.SerializerMethodField()

    class Meta:
        model = Lead
        fields = ("id", "released_at", "withdrawn_at", "withdrawn_why", "confirmed_by")

    @extend_schema_field(ConfirmationRecordSerializer(many=True))
    def get_confirmed_by(self, lead: Lead) -> Any:
        return ConfirmationRecordSerializer(leads.confirmed_by(lead), many=True).data


class ConfirmedLeads(Recorded, generics.ListAPIView[Lead]):
    """For supervisors: who confirmed the leads of the agency. None of a case you are on or a search you examined."""

    thing = "lead"
    permission_classes = SUPERVISOR
    serializer_class = ConfirmedLeadSerializer
    queryset = Lead.objects.none()

    def get_queryset(self) -> Any:
        return leads.withdrawable_by(signed_in(self.request))


class WithdrawalSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=leads.REASON_LIMIT)


class WithdrawLead(APIView):
    permission_classes = SUPERVISOR

    @extend_schema(request=WithdrawalSerializer, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Withdraw a lead because an examiner's certificate was not valid; 409 for one that is withdrawn already."""
        lead = get_object_or_404(leads.withdrawable_by(signed_in(request)), pk=pk)
        body = WithdrawalSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        leads.withdraw(by=signed_in(request), lead=lead, reason=body.validated_data["reason"])
        return Response(status=status.HTTP_204_NO_CONTENT)


def _opened(request: Request, pk: UUID) -> Lead:
    lead = visible(request, pk)
    leads.opened(by=signed_in(request), lead=lead)
    return lead
