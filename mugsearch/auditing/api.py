"""The record for programs. Entries hold ids; what they are of is asked of the other parts of the API."""

from datetime import datetime
from typing import Any

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit.models import Entry, Outcome
from mugsearch.audit.verify import Head
from mugsearch.auditing import queries, services, views
from mugsearch.auditing.export import COLUMNS, CONTENT_TYPES
from mugsearch.errors import BadInput

PAGE_SIZE, LARGEST_PAGE = 50, 500
LARGEST_NUMBER = 2**63 - 1  # that PostgreSQL can count to
ONLY_AUDITORS = (role_permission(Role.AUDITOR),)


class EntrySerializer(serializers.ModelSerializer[Entry]):
    class Meta:
        model = Entry
        fields = COLUMNS
        read_only_fields = fields


class EntriesSerializer(serializers.Serializer[Any]):
    results = EntrySerializer(many=True)
    older_than = serializers.IntegerField(
        allow_null=True, help_text="Ask again with this for the entries before these; null at the first entry."
    )


class CanonicalSerializer(EntrySerializer):
    canonical = serializers.SerializerMethodField(help_text="What the digest is taken over (SHA-256, UTF-8).")

    class Meta(EntrySerializer.Meta):
        fields = (*COLUMNS, "canonical")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    def get_canonical(self, entry: Entry) -> str:
        return entry.canonical().decode()


class MomentField(serializers.DateTimeField):
    def enforce_timezone(self, value: datetime) -> datetime:
        """The first and the last day of the calendar are in no other zone's."""
        try:
            return super().enforce_timezone(value)
        except OverflowError:
            self.fail("overflow")


class FilterSerializer(serializers.Serializer[Any]):
    actor = serializers.UUIDField(required=False)
    family = serializers.RegexField(
        r"^[a-z-]+\Z", required=False, max_length=64, help_text="What the act begins with, such as search."
    )
    booking = serializers.CharField(
        required=False, max_length=64, help_text="A booking's number: what the record says of it and its lists."
    )
    case = serializers.UUIDField(required=False)
    case_number = serializers.CharField(required=False, max_length=64)
    act = serializers.RegexField(r"^[a-z]+\.[a-z-]+\Z", required=False, max_length=64)
    outcome = serializers.ChoiceField(choices=Outcome.choices, required=False)
    object = serializers.RegexField(r"^[0-9a-fA-F-]{1,64}\Z", required=False)
    since = MomentField(required=False)
    before = MomentField(required=False)

    def filters(self, by: User) -> queries.Filters:
        asked = self.validated_data
        acts: tuple[str, ...] | None = (asked["act"],) if "act" in asked else None
        if "family" in asked:
            acts = tuple(act for act in queries.of_family(asked["family"]) if acts is None or act in acts)
        objects: tuple[str, ...] | None = (asked["object"].lower(),) if "object" in asked else None
        booking = queries.booking_numbered(asked["booking"]) if "booking" in asked else None
        if "booking" in asked:
            ids = queries.lookups_of(booking.pk) if booking else ()
            objects = tuple(one for one in ids if objects is None or one in objects)
        cases = queries.cases_numbered(asked["case_number"]) if "case_number" in asked else None
        if "case" in asked:
            cases = (asked["case"],) if cases is None or asked["case"] in cases else ()
        return queries.Filters(
            actors=(asked["actor"],) if "actor" in asked else None,
            cases=cases,
            acts=acts,
            outcome=asked.get("outcome", ""),
            objects=objects,
            booking=booking.pk if booking else None,
            since=asked.get("since"),
            before=asked.get("before"),
            upto=queries.last_number(),  # first: what is recorded after it may belong to what is hidden
            hidden=queries.hidden_from(by),
        )


class PageQuerySerializer(serializers.Serializer[Any]):
    older_than = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_NUMBER)
    size = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_PAGE, default=PAGE_SIZE)


class PageSerializer(FilterSerializer, PageQuerySerializer):
    pass


class VerifySerializer(serializers.Serializer[Any]):
    against = serializers.CharField(
        required=False, allow_blank=True, max_length=90, help_text="NUMBER:DIGEST, a head that was kept outside."
    )


class VerdictSerializer(serializers.Serializer[Any]):
    intact = serializers.BooleanField()
    entries = serializers.IntegerField(help_text="How many entries fit, from the first on.")
    head = serializers.CharField(source="kept_head", help_text="NUMBER:DIGEST of the last entry that fits.")
    first_bad = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField()


class Entries(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(operation_id="audit_list", parameters=[PageSerializer], responses=EntriesSerializer)
    def get(self, request: Request) -> Response:
        """Entries, newest first. Reading them is an entry too."""
        asked = PageSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        filters = asked.filters(signed_in(request))
        services.read(by=signed_in(request), filters=filters)
        page = queries.page(
            filters, size=asked.validated_data["size"], older_than=asked.validated_data.get("older_than")
        )
        return Response(EntriesSerializer({"results": page.entries, "older_than": page.older}).data)


class OneEntry(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(responses=CanonicalSerializer)
    def get(self, request: Request, number: int) -> Response:
        entry = get_object_or_404(Entry, pk=number)
        services.look_at(by=signed_in(request), entry=entry)
        return Response(CanonicalSerializer(entry).data)


class Export(APIView):
    permission_classes = (role_permission(Role.AUDITOR, sensitive=Sensitive.EXPORT),)

    @extend_schema(
        parameters=[FilterSerializer, OpenApiParameter("to", str, enum=sorted(CONTENT_TYPES), default="jsonl")],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR, (200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """All entries that the filters leave, newest first, as a file."""
        asked = FilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        to = request.query_params.get("to", "jsonl")
        if to not in CONTENT_TYPES:
            raise BadInput("`to` is csv or jsonl.")
        filters = asked.filters(signed_in(request))
        services.export(by=signed_in(request), filters=filters, to=to)
        return views.stream(filters, to)


class Verify(APIView):
    permission_classes = ONLY_AUDITORS

    @extend_schema(request=VerifySerializer, responses=VerdictSerializer)
    def post(self, request: Request) -> Response:
        """Read the whole chain and say whether it fits."""
        asked = VerifySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        typed = asked.validated_data.get("against", "")
        verdict = services.verify(by=signed_in(request), against=Head.parse(typed) if typed else None)
        return Response(VerdictSerializer(verdict).data)
