"""Weekly reviews, signals and saved reviews for programs."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import signed_in
from mugsearch.audit.models import Entry
from mugsearch.auditing import reviews, signals
from mugsearch.auditing.api import ONLY_AUDITORS
from mugsearch.auditing.models import Remark, Sighting, SignOff
from mugsearch.auditing.review_views import day_of


class RemarkSerializer(serializers.ModelSerializer[Remark]):
    by = serializers.UUIDField(source="by_id", read_only=True)

    class Meta:
        model = Remark
        fields = ("verdict", "note", "own_reason", "by", "at")
        read_only_fields = ("at",)


class SightingSerializer(serializers.ModelSerializer[Sighting]):
    remarks = RemarkSerializer(many=True, source="said", help_text="The latest first; it counts.")

    class Meta:
        model = Sighting
        fields = ("id", "signal", "draw", "actor", "other", "case", "search", "count", "usual", "searches", "remarks")
        read_only_fields = fields


class SignOffSerializer(serializers.ModelSerializer[SignOff]):
    class Meta:
        model = SignOff
        fields = ("by", "at", "note", "own_reason", "first", "last", "head", "sightings", "refusals")
        read_only_fields = ("by", "at", "first", "last", "head", "sightings", "refusals")


class RefusalsSerializer(serializers.Serializer[Any]):
    actor = serializers.UUIDField(allow_null=True)
    act = serializers.CharField()
    outcome = serializers.CharField()
    count = serializers.IntegerField()


class AccessSerializer(serializers.ModelSerializer[Entry]):
    class Meta:
        model = Entry
        fields = ("number", "at", "actor", "act", "object_id", "details")
        read_only_fields = fields


class WeekSerializer(serializers.Serializer[Any]):
    monday = serializers.DateField()
    due = serializers.DateField()
    is_overdue = serializers.BooleanField()
    signed_off = SignOffSerializer(source="signed", allow_null=True)
    sightings = SightingSerializer(many=True)
    refused = RefusalsSerializer(many=True, source="refusals")
    access = AccessSerializer(many=True, help_text="What was done with accounts and roles.")


class SignalSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    why = serializers.CharField()
    innocent = serializers.CharField()
    limits = serializers.CharField()
    query = serializers.CharField(source="source")


class Signals(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_signals", responses=SignalSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What each signal is, and its query. What it pointed at is in the weekly reviews."""
        return Response(SignalSerializer(signals.SIGNALS, many=True).data)


class Week(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_review", responses=WeekSerializer)
    def get(self, request: Request, day: str) -> Response:
        """The week of a day: what is to be looked at, and whether it was signed off."""
        found = reviews.week_of(day_of(day))
        reviews.read(by=signed_in(request), week=found)
        return Response(WeekSerializer(found).data)

    @extend_schema(operation_id="audit_review_sign_off", request=SignOffSerializer, responses={201: WeekSerializer})
    def post(self, request: Request, day: str) -> Response:
        """Sign it off. Every item needs a note first."""
        asked = SignOffSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        signed = reviews.sign_off(by=signed_in(request), day=day_of(day), **asked.validated_data)
        return Response(WeekSerializer(reviews.week_of(signed.week)).data, status=201)


class Remarks(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_sighting_remark", request=RemarkSerializer, responses={201: RemarkSerializer})
    def post(self, request: Request, sighting_id: UUID) -> Response:
        """Say what it is. An earlier remark stays, and the latest counts."""
        found = get_object_or_404(Sighting, pk=sighting_id)
        asked = RemarkSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = reviews.remark(by=signed_in(request), sighting=found, **asked.validated_data)
        return Response(RemarkSerializer(made).data, status=201)
