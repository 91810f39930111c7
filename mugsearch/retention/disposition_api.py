"""Dispositions and what the rules will do, over REST: the same services as the pages, for a court's nightly feed."""

import datetime
from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.gallery.models import Booking
from mugsearch.probes import policy
from mugsearch.retention import dispositions, rules, services, sweeping
from mugsearch.retention.dispositions import BadLines, Reported
from mugsearch.retention.models import Disposition

RECORDS = [role_permission(Role.RECORDS)]


class DispositionSerializer(serializers.ModelSerializer[Disposition]):
    """Without `booking` it waits for one; with `dismissed_at` it doesn't count."""

    booking_number = serializers.CharField(read_only=True)
    court = serializers.CharField(read_only=True)
    order_number = serializers.CharField(read_only=True)

    class Meta:
        model = Disposition
        fields = (
            "id",
            "booking",
            "booking_number",
            "disposition",
            "disposed_on",
            "court",
            "order_number",
            "recorded_by",
            "recorded_at",
            "matched_by",
            "dismissed_by",
            "dismissed_at",
            "dismissed_reason",
        )
        read_only_fields = fields


class ReportedSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64, help_text="In any spelling.")
    disposition = serializers.CharField(max_length=80, help_text="A code of the policy, or its label.")
    disposed_on = serializers.DateField()
    court = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    order_number = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)


class DispositionFileSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(help_text="CSV: booking_number, disposition, disposed_on, court, order_number.")


class TakenSerializer(serializers.Serializer[Any]):
    rows = serializers.IntegerField()
    recorded = serializers.IntegerField()
    known = serializers.IntegerField(help_text="Recorded before, or twice in the file.")
    expunged = serializers.IntegerField(help_text="Of expunged bookings: nothing is kept.")
    matched = serializers.IntegerField(help_text="Dispositions that found their booking, also from before.")
    unmatched = serializers.IntegerField(help_text="Of this file, without a booking.")


class BadLineSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    reason = serializers.CharField()


class BadLinesSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    lines = BadLineSerializer(many=True)


class MatchSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64)


class DismissSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=dispositions.REASON_LIMIT)


class ForecastSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(source="rule.code")
    rule = serializers.CharField(source="rule.words")
    action = serializers.CharField(source="rule.action")
    count = serializers.IntegerField(help_text=f"Bookings in the next {rules.AHEAD} days.")
    today = serializers.IntegerField(help_text="Of them, with the next sweep.")
    first = serializers.DateField(allow_null=True)
    excepted = serializers.IntegerField(help_text="Kept by an exception.")


class RetentionSerializer(serializers.Serializer[Any]):
    policy_digest = serializers.CharField()
    rules = ForecastSerializer(many=True)
    stale = serializers.IntegerField(help_text="Bookings without a disposition for too long.")
    unmatched = serializers.IntegerField(help_text="Dispositions without a booking.")


class ComingSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="pk")
    booking_number = serializers.CharField()
    on = serializers.SerializerMethodField()
    left_for_now = serializers.SerializerMethodField(help_text="Why a sweep leaves it, or null.")

    def get_on(self, booking: Any) -> datetime.date:
        day: datetime.date = max(self.context["today"], booking.since + self.context["rule"].window)
        return day

    def get_left_for_now(self, booking: Any) -> str | None:
        return sweeping.blocked(booking)


class StaleSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(source="pk")
    booking_number = serializers.CharField()
    since = serializers.DateField()


class Dispositions(Recorded, generics.ListAPIView[Disposition]):
    """The agency's dispositions, the latest first; POST records one."""

    thing = "disposition"
    permission_classes = RECORDS
    serializer_class = DispositionSerializer
    filterset_fields = ("booking",)
    queryset = Disposition.objects.none()

    def get_queryset(self) -> Any:
        return Disposition.objects.visible_to(signed_in(self.request))

    @extend_schema(request=ReportedSerializer, responses={201: DispositionSerializer})
    def post(self, request: Request) -> Response:
        """Record one. Without a booking of this number it waits for one."""
        told = ReportedSerializer(data=request.data)
        told.is_valid(raise_exception=True)
        made = dispositions.record(by=signed_in(request), reported=Reported(**told.validated_data))
        return Response(DispositionSerializer(made).data, status=status.HTTP_201_CREATED)


class DispositionFile(APIView):
    permission_classes = RECORDS
    parser_classes = (MultiPartParser,)

    @extend_schema(request=DispositionFileSerializer, responses={200: TakenSerializer, 422: BadLinesSerializer})
    def post(self, request: Request) -> Response:
        """All rows of a CSV, or none and what is wrong with which. The same file again changes nothing."""
        sent = DispositionFileSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        file = sent.validated_data["file"].read(dispositions.MOST_BYTES + 1)
        try:
            taken = dispositions.take_file(by=signed_in(request), file=file)
        except BadLines as error:
            told = {"code": error.code, "detail": error.message, "lines": error.lines}
            return Response(BadLinesSerializer(told).data, status=error.status)
        return Response(TakenSerializer(taken).data)


class UnmatchedDispositions(Recorded, generics.ListAPIView[Disposition]):
    """Those that wait for their booking."""

    thing = "disposition"
    permission_classes = RECORDS
    serializer_class = DispositionSerializer
    queryset = Disposition.objects.none()

    def get_queryset(self) -> Any:
        return Disposition.objects.visible_to(signed_in(self.request)).unmatched()


class MatchDisposition(APIView):
    permission_classes = RECORDS

    @extend_schema(request=MatchSerializer, responses=DispositionSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Say which booking is meant."""
        told = MatchSerializer(data=request.data)
        told.is_valid(raise_exception=True)
        user = signed_in(request)
        found = get_object_or_404(Disposition.objects.visible_to(user), pk=pk)
        meant = services.look_up(by=user, booking_number=told.validated_data["booking_number"])
        dispositions.match(by=user, disposition=found, booking=meant)
        return Response(DispositionSerializer(found).data)


class DismissDisposition(APIView):
    permission_classes = RECORDS

    @extend_schema(request=DismissSerializer, responses=DispositionSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """It counts no more."""
        told = DismissSerializer(data=request.data)
        told.is_valid(raise_exception=True)
        user = signed_in(request)
        found = get_object_or_404(Disposition.objects.visible_to(user), pk=pk)
        dispositions.dismiss(by=user, disposition=found, reason=told.validated_data["reason"])
        return Response(DispositionSerializer(found).data)


class RetentionOverview(APIView):
    permission_classes = RECORDS

    @extend_schema(responses=RetentionSerializer)
    def get(self, request: Request) -> Response:
        """What each rule will do to the agency's bookings, and what waits for a clerk."""
        user, today, in_force = signed_in(request), timezone.localdate(), policy.current()
        bookings = Booking.objects.visible_to(user)
        told = {
            "policy_digest": in_force.digest,
            "rules": [rules.forecast(rule, bookings, today=today) for rule in in_force.retention.acting],
            "stale": rules.stale(user, in_force.retention, today=today).count(),
            "unmatched": Disposition.objects.visible_to(user).unmatched().count(),
        }
        audit.record("retention.viewed", by=user)
        return Response(RetentionSerializer(told).data)


class ComingByRule(Recorded, generics.ListAPIView[Booking]):
    """The bookings a rule acts on in the days ahead, the first ones first."""

    thing = "retention.rule"
    permission_classes = RECORDS
    serializer_class = ComingSerializer
    filter_backends: tuple[Any, ...] = ()
    queryset = Booking.objects.none()

    def get_queryset(self) -> Any:
        rule = policy.current().retention.rules.get(self.kwargs["code"])
        if rule is None or not rule.acts:
            raise Http404
        until = timezone.localdate() + datetime.timedelta(days=rules.AHEAD)
        return rules.acted_on(rule, until=until).filter(pk__in=Booking.objects.visible_to(signed_in(self.request)))

    def get_serializer_context(self) -> dict[str, Any]:
        rule = policy.current().retention.rules.get(self.kwargs.get("code", ""))
        return {**super().get_serializer_context(), "today": timezone.localdate(), "rule": rule}


class StaleBookings(Recorded, generics.ListAPIView[Booking]):
    """Bookings without a disposition for too long, the oldest first."""

    thing = "retention.stale"
    permission_classes = RECORDS
    serializer_class = StaleSerializer
    filter_backends: tuple[Any, ...] = ()
    queryset = Booking.objects.none()

    def get_queryset(self) -> Any:
        return rules.stale(signed_in(self.request), policy.current().retention, today=timezone.localdate())
