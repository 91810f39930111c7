"""Timelines for programs: the sentences of the pages, with the numbers of the entries they are of."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import signed_in
from mugsearch.accounts.models import User
from mugsearch.auditing import timelines
from mugsearch.auditing.api import LARGEST_NUMBER, ONLY_AUDITORS, PageQuerySerializer
from mugsearch.auditing.timelines import About, Step
from mugsearch.probes.models import Case

F = TypeVar("F", bound=Callable[..., Response])


class TimelineStepSerializer(serializers.Serializer[Step]):
    number = serializers.IntegerField(source="entry.number")
    at = serializers.DateTimeField(source="entry.at")
    act = serializers.CharField(source="entry.act")
    outcome = serializers.CharField(source="entry.outcome")
    actor = serializers.UUIDField(source="entry.actor", allow_null=True)
    who = serializers.CharField()
    said = serializers.CharField(help_text="What they did, in words that follow their name.")
    case = serializers.UUIDField(source="entry.case", allow_null=True)
    case_number = serializers.CharField(help_text="Empty where there is no case, or none any more.")


class TimelineSerializer(serializers.Serializer[Any]):
    results = TimelineStepSerializer(many=True, help_text="Of a case the earliest first, otherwise the latest first.")
    older_than = serializers.IntegerField(allow_null=True, help_text="Ask again with this for earlier steps; or null.")
    newer_than = serializers.IntegerField(allow_null=True, help_text="Ask again with this for later steps; or null.")
    hides = serializers.BooleanField(
        help_text="Examinations of cases you are on are under way; what the record has of them is left out until then."
    )


class TimelineQuerySerializer(PageQuerySerializer):
    looks = serializers.BooleanField(
        required=False, default=False, help_text="With every mere look, too. Of a booking they are always there."
    )
    newer_than = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_NUMBER)

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "older_than" in asked and "newer_than" in asked:
            raise serializers.ValidationError("Ask for older or for newer steps, not for both.")
        return asked


class FoundCaseSerializer(serializers.Serializer[Case]):
    id = serializers.UUIDField()
    number = serializers.CharField()
    agency = serializers.CharField(source="agency.name")


class FoundUserSerializer(serializers.Serializer[User]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    full_name = serializers.CharField()
    agency = serializers.CharField(source="agency.name", default="")


class FoundSerializer(serializers.Serializer[Any]):
    cases = FoundCaseSerializer(many=True)
    users = FoundUserSerializer(many=True, help_text=f"At most {timelines.MOST_NAMED}.")
    booking = serializers.UUIDField(allow_null=True, help_text="Null also for one that is sealed.")


class LookUpSerializer(serializers.Serializer[Any]):
    case = serializers.CharField(required=False, max_length=64, help_text="The whole number of a case.")
    user = serializers.CharField(required=False, max_length=120, help_text="An id, a user name or part of a name.")
    booking = serializers.CharField(required=False, max_length=64, help_text="A booking's number.")

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if len(asked) != 1:
            raise serializers.ValidationError("Ask for one of case, user and booking.")
        return asked


class LookUp(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_look_up", parameters=[LookUpSerializer], responses=FoundSerializer)
    def get(self, request: Request) -> Response:
        """From what an auditor knows, a number or a name, to the ids that timelines are asked for by."""
        asked = LookUpSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return Response(FoundSerializer(timelines.look_up(by=signed_in(request), **asked.validated_data)).data)


def _read(request: Request, about: About) -> Response:
    asked = TimelineQuerySerializer(data=request.query_params)
    asked.is_valid(raise_exception=True)
    told = asked.validated_data
    read = timelines.read(
        by=signed_in(request), about=about, size=told["size"], looks=told["looks"],
        older=told.get("older_than"), newer=told.get("newer_than"),
    )  # fmt: skip
    answer = {
        "results": timelines.steps_of(read.entries),
        "older_than": read.page.older,
        "newer_than": read.page.newer,
        "hides": read.hides,
    }
    return Response(TimelineSerializer(answer).data)


def _timeline(of: str) -> Callable[[F], F]:
    return extend_schema(
        operation_id=f"audit_{of}_timeline", parameters=[TimelineQuerySerializer], responses=TimelineSerializer
    )


class OfCase(APIView):
    permission_classes = ONLY_AUDITORS

    @_timeline("case")
    def get(self, request: Request, case_id: UUID) -> Response:
        """One case from upload to outcome."""
        return _read(request, timelines.of_case(get_object_or_404(Case, pk=case_id)))


class OfUser(APIView):
    permission_classes = ONLY_AUDITORS

    @_timeline("user")
    def get(self, request: Request, user_id: UUID) -> Response:
        """What one person did."""
        return _read(request, timelines.of_user(get_object_or_404(User, pk=user_id)))


class OfBooking(APIView):
    permission_classes = ONLY_AUDITORS

    @_timeline("booking")
    def get(self, request: Request, booking_id: UUID) -> Response:
        """Who looked a booking up, on which list and under which case; never whose booking it is."""
        about = timelines.of_booking(booking_id)
        if about is None:
            raise Http404
        return _read(request, about)
