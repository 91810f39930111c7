"""Cases, probes and searches over REST. The candidates of a search are nobody's to read here: see reviews.api."""

from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import FilterSet, UUIDFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.engine import images
from mugsearch.errors import BadInput
from mugsearch.probes import services
from mugsearch.probes.filters import SEXES, Filters
from mugsearch.probes.models import Candidate, Case, PriorityChange, Probe, ProbeEdit, Repeat, Search
from mugsearch.probes.services import Purpose
from mugsearch.probes.views import probe_image_for

INVESTIGATOR = [role_permission(Role.INVESTIGATOR)]


class CaseSerializer(serializers.ModelSerializer[Case]):
    class Meta:
        model = Case
        fields = ("id", "number", "priority", "created_at")


class PriorityChangeSerializer(serializers.ModelSerializer[PriorityChange]):
    by = serializers.CharField(source="by.full_name", read_only=True)

    class Meta:
        model = PriorityChange
        fields = ("priority", "reason", "by", "at")


class FiltersSerializer(serializers.Serializer[Any]):
    """Years and days are inclusive. Whoever has no value recorded is always compared."""

    sexes = serializers.ListField(
        child=serializers.ChoiceField(choices=SEXES), required=False, max_length=len(SEXES), help_text="Any of them."
    )
    born_from = serializers.IntegerField(required=False, allow_null=True, help_text="Year.")
    born_to = serializers.IntegerField(required=False, allow_null=True, help_text="Year.")
    booked_from = serializers.DateField(required=False, allow_null=True)
    booked_to = serializers.DateField(required=False, allow_null=True)
    agencies = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=1000, help_text="Booked by any of them."
    )


class SearchSerializer(serializers.ModelSerializer[Search]):
    """`candidates_waiting` is how many await examination; who they are is not said before it is over.

    Of `gallery_size` photographs `scanned` were compared, `rescored` of them in full precision: none of the others can
    belong on the list. The score that proves it is with the examination's result.
    """

    candidates_waiting = serializers.SerializerMethodField()
    filters = FiltersSerializer(source="narrowed_to", read_only=True)
    encoder = serializers.CharField(source="encoder.name", default=None, allow_null=True, read_only=True)
    edit = serializers.IntegerField(
        source="edit.number",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="The edit searched with; null: the original.",
    )

    class Meta:
        model = Search
        fields = (
            "id",
            "probe",
            "edit",
            "face",
            "list_size",
            "filters",
            "state",
            "failure",
            "requested_at",
            "started_at",
            "finished_at",
            "encoder",
            "generation",
            "gallery_size",
            "depth",
            "scanned",
            "rescored",
            "candidates_waiting",
        )

    def get_candidates_waiting(self, search: Search) -> int | None:
        if search.state != Search.State.DONE:
            return None
        return sum(candidate.forgotten_at is None for candidate in search.candidates.all())


class ProbeSerializer(serializers.ModelSerializer[Probe]):
    case = CaseSerializer(read_only=True)
    faces = serializers.ListField(child=serializers.DictField(), read_only=True)
    searches: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Probe
        fields = (
            "id",
            "case",
            "offence",
            "legal_basis",
            "source",
            "source_detail",
            "submitted_at",
            "sha256",
            "format",
            "width",
            "height",
            "state",
            "failure",
            "faces",
            "searches",
        )


class NewProbeSerializer(serializers.Serializer[Any]):
    case_number = serializers.CharField(max_length=64)
    offence = serializers.CharField(max_length=40)
    legal_basis = serializers.CharField(max_length=40)
    source = serializers.CharField(max_length=40)  # type: ignore[assignment]  # a field's name here, not the base's attribute
    source_detail = serializers.CharField(max_length=300)
    attested = serializers.BooleanField()
    image = serializers.FileField(max_length=200)


class NewSearchSerializer(serializers.Serializer[Any]):
    edit = serializers.IntegerField(
        min_value=1,
        max_value=ProbeEdit.MOST,
        required=False,
        allow_null=True,
        help_text="Number of the edit to search with; left out: the original.",
    )
    face = serializers.IntegerField(min_value=0, max_value=32767)
    list_size = serializers.IntegerField(min_value=2, max_value=50, required=False)
    filters = FiltersSerializer(required=False, help_text="Narrow the search: a wrong filter hides the right person.")

    def validate_filters(self, given: dict[str, Any]) -> Filters:
        return Filters.of(given)


class RepeatSerializer(serializers.ModelSerializer[Repeat]):
    """`identical`: the list is as it was recorded, but for what was erased since; null until it is known."""

    identical = serializers.SerializerMethodField()

    class Meta:
        model = Repeat
        fields = (
            "id",
            "search",
            "requested_by",
            "requested_at",
            "state",
            "failure",
            "started_at",
            "finished_at",
            "identical",
            "differing",
            "erased_photos",
            "erased_people",
            "generation",
            "scanned",
        )

    def get_identical(self, repeat: Repeat) -> bool | None:
        return None if repeat.differing is None else repeat.differing == 0


class ProbeFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    """A case by its id, whether there is one or not: a list of nothing tells nobody which."""

    case = UUIDFilter()

    class Meta:
        model = Probe
        fields = ("case", "state")


class SearchFilter(FilterSet):  # type: ignore[misc]  # it ships no types
    probe = UUIDFilter()

    class Meta:
        model = Search
        fields = ("probe", "state")


class Cases(Recorded, generics.ListAPIView[Case]):
    """The cases you are on, newest first."""

    thing = "case"
    permission_classes = INVESTIGATOR
    serializer_class = CaseSerializer
    filterset_fields = ("number",)
    queryset = Case.objects.none()

    def get_queryset(self) -> Any:
        return Case.objects.visible_to(signed_in(self.request))


def _probes(user: User) -> Any:
    searches = Prefetch("searches", Search.objects.only("probe"))
    return Probe.objects.visible_to(user).select_related("case").prefetch_related(searches)


class Probes(Recorded, generics.ListAPIView[Probe]):
    """The probe images of your cases; POST submits one."""

    thing = "probe"
    permission_classes = INVESTIGATOR
    serializer_class = ProbeSerializer
    parser_classes = (MultiPartParser,)
    filterset_class = ProbeFilter
    queryset = Probe.objects.none()

    def get_queryset(self) -> Any:
        return _probes(signed_in(self.request))

    @extend_schema(
        request=NewProbeSerializer,
        responses={201: ProbeSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, description="The same key is one probe."
            )
        ],
    )
    def post(self, request: Request) -> Response:
        body = NewProbeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        upload = values.pop("image")
        if upload.size > images.DEFAULT_LIMITS.max_bytes:
            raise BadInput("The image is larger than 32 MB.")
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (1 <= len(key) <= 64 and key.isprintable()):
            raise BadInput("An Idempotency-Key has 1 to 64 printable characters.")
        probe = services.submit(
            by=signed_in(request), purpose=Purpose(**values), image=upload.read(), idempotency_key=key
        )
        return Response(ProbeSerializer(probe).data, status=status.HTTP_201_CREATED)


class OneProbe(generics.RetrieveAPIView[Probe]):
    """A probe with the faces found in it; poll until `state` is no longer `received`."""

    permission_classes = INVESTIGATOR
    serializer_class = ProbeSerializer
    queryset = Probe.objects.none()

    def get_queryset(self) -> Any:
        return _probes(signed_in(self.request))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        probe = self.get_object()
        audit.record("probe.viewed", by=signed_in(request), obj=probe, case=probe.case_id)
        return Response(self.get_serializer(probe).data)


class ProbeImage(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The probe image, upright, at most 1600 pixels on its longer side."""
        return probe_image_for(signed_in(request), pk)


class ProbeSearches(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(request=NewSearchSerializer, responses={201: SearchSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Search the gallery with one of the probe's faces."""
        probe = get_object_or_404(Probe.objects.visible_to(signed_in(request)), pk=pk)
        body = NewSearchSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        search = services.search(by=signed_in(request), probe=probe, **body.validated_data)
        return Response(SearchSerializer(search).data, status=status.HTTP_201_CREATED)


def _searches(user: User) -> Any:
    """With what `SearchSerializer` shows, whatever their number in the same few queries."""
    waiting = Prefetch("candidates", Candidate.objects.only("search", "forgotten_at").order_by("rank"))
    return Search.objects.visible_to(user).select_related("encoder", "edit").prefetch_related(waiting)


class Searches(Recorded, generics.ListAPIView[Search]):
    """The searches of your cases, newest first."""

    thing = "search"
    permission_classes = INVESTIGATOR
    serializer_class = SearchSerializer
    filterset_class = SearchFilter
    queryset = Search.objects.none()

    def get_queryset(self) -> Any:
        return _searches(signed_in(self.request))


class OneSearch(generics.RetrieveAPIView[Search]):
    """A search; poll until `state` is `done` or `failed`."""

    permission_classes = INVESTIGATOR
    serializer_class = SearchSerializer
    queryset = Search.objects.none()

    def get_queryset(self) -> Any:
        return _searches(signed_in(self.request)).select_related("probe")

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        search = self.get_object()
        audit.record("search.viewed", by=signed_in(request), obj=search, case=search.probe.case_id)
        return Response(self.get_serializer(search).data)


class Repeats(Recorded, generics.ListAPIView[Repeat]):
    """The repeats of a search, newest first; POST asks for one. Poll until none is `queued` or `running`."""

    thing = "repeat"
    permission_classes = (role_permission(Role.INVESTIGATOR, Role.AUDITOR),)
    serializer_class = RepeatSerializer
    queryset = Repeat.objects.none()

    def get_queryset(self) -> Any:
        return self._search().repeats.all()

    @extend_schema(request=None, responses={201: RepeatSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Search again over what of the gallery of then is still there, and compare the lists."""
        repeat = services.repeat(by=signed_in(request), search=self._search())
        return Response(RepeatSerializer(repeat).data, status=status.HTTP_201_CREATED)

    def _search(self) -> Search:
        repeatable = Search.objects.repeatable_by(signed_in(self.request))
        found: Search = get_object_or_404(repeatable.select_related("probe__case", "encoder"), pk=self.kwargs["pk"])
        return found


class TryAgain(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(request=None, responses={200: SearchSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Put a failed search back into the queue."""
        search = get_object_or_404(Search.objects.visible_to(signed_in(request)), pk=pk)
        return Response(SearchSerializer(services.try_again(by=signed_in(request), search=search)).data)


class CasePriority(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(operation_id="cases_priority_list", responses=PriorityChangeSerializer(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        """Who changed the priority of the case and why, the newest first; none: it was always normal."""
        case = get_object_or_404(Case.objects.visible_to(signed_in(request)), pk=pk)
        audit.record("case.viewed", by=signed_in(request), obj=case, case=case.pk)
        return Response(PriorityChangeSerializer(case.priority_changes.select_related("by"), many=True).data)

    @extend_schema(request=PriorityChangeSerializer, responses={201: PriorityChangeSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Make the case urgent, or normal again; 409 when it is so already."""
        case = get_object_or_404(Case.objects.visible_to(signed_in(request)), pk=pk)
        body = PriorityChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        change = services.change_priority(by=signed_in(request), case=case, **body.validated_data)
        return Response(PriorityChangeSerializer(change).data, status=status.HTTP_201_CREATED)
