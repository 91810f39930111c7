"""Examinations and leads over REST: the same services, the same blindness.

An examination is read by positions, its images under its own address. Nothing of the search, the probe, the case or
the other examiner is in any answer to an examiner.
"""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.errors import NotAllowed
from mugsearch.probes.calibration_api import FalsePositivesSerializer
from mugsearch.probes.models import Case, ProbeEdit
from mugsearch.vault.responses import image
from reviews import outcomes, pictures, queries, services
from reviews.access import own_examination
from reviews.drawings import MOST
from reviews.models import Examination, Finding
from reviews.worksheet import COMPONENTS, NOTES_LIMIT, SAID, cleaned

EXAMINER = [role_permission(Role.EXAMINER)]
JPEG: Any = {(200, "image/jpeg"): OpenApiTypes.BINARY}
SIZE = OpenApiParameter("size", str, enum=["thumb", "full"], default="full")


class LevelSerializer(serializers.Serializer[queries.Level]):
    priority = serializers.ChoiceField(choices=Case.Priority.choices)
    waiting = serializers.IntegerField()
    oldest = serializers.DateTimeField(allow_null=True)


class QueueSerializer(serializers.Serializer[queries.Queue]):
    waiting = serializers.IntegerField(help_text="How many searches you may examine now.")
    oldest = serializers.DateTimeField(allow_null=True, help_text="When the oldest of them was finished.")
    levels = LevelSerializer(many=True, help_text="The same of each priority; urgent ones are offered first.")


class ExaminationSerializer(serializers.ModelSerializer[Examination]):
    found = serializers.IntegerField(help_text="Candidates with a finding of yours.", read_only=True)
    total = serializers.IntegerField(help_text="Candidates that need one.", read_only=True)
    returns_at = serializers.DateTimeField(
        help_text="When a claimed one goes back to the queue unless you work on it.", read_only=True, allow_null=True
    )

    class Meta:
        model = Examination
        fields = ("id", "state", "claimed_at", "concluded_at", "release", "released_at", "returns_at", "found", "total")


class ToldSerializer(serializers.Serializer[queries.Told]):
    rank = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True, help_text="Cosine, -1 to 1.")
    false_positives = FalsePositivesSerializer(allow_null=True)
    others = serializers.ListField(child=serializers.CharField(), help_text="What the other examiners concluded.")
    rating = serializers.FloatField(allow_null=True, help_text="The mean of all ratings, -3 to 3.")


def _shape() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.FloatField(min_value=0, max_value=1),
        min_length=2,
        max_length=4,
        required=False,
        help_text="A point [x, y] or a region [x, y, width, height], the ellipse in this box: shares of the sides.",
    )


class MarkSerializer(serializers.Serializer[Any]):
    """What stands under one number, the place in the list, on one image or on both."""

    probe = _shape()
    candidate = _shape()


class ComponentSerializer(serializers.Serializer[Any]):
    said = serializers.ChoiceField(choices=list(SAID.items()), required=False, allow_blank=True)
    notes = serializers.CharField(max_length=NOTES_LIMIT, required=False, allow_blank=True, trim_whitespace=False)
    drawn = serializers.ListField(
        child=MarkSerializer(), max_length=MOST, required=False, help_text="Notes on where; they decide nothing."
    )


class WorksheetSerializer(serializers.Serializer[Any]):
    """The facial components of ASTM E3149. A positive conclusion needs something said of each."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: ComponentSerializer(required=False, label=label) for name, label in COMPONENTS.items()}

    def to_internal_value(self, data: Any) -> Any:
        return cleaned(data)  # says what is wrong with a component it doesn't know; a serializer would pass over it

    def to_representation(self, stored: Any) -> Any:
        return stored


class CandidatePlaceSerializer(serializers.Serializer[queries.Place]):
    """A candidate by its position in your order. `gone`: expunged or sealed, needs no finding and has no image."""

    position = serializers.IntegerField()
    gone = serializers.BooleanField()
    image = serializers.SerializerMethodField()
    conclusion = serializers.ChoiceField(
        choices=[*Finding.Conclusion.choices, *Finding.UNGRADED.items()], allow_blank=True
    )
    notes = serializers.CharField()
    worksheet = WorksheetSerializer()
    saved_at = serializers.DateTimeField(allow_null=True)
    told = ToldSerializer(allow_null=True, help_text="Null until all examiners have concluded.")

    @extend_schema_field(OpenApiTypes.URI)
    def get_image(self, place: queries.Place) -> str | None:
        if place.gone:
            return None
        return reverse(
            "api_examination_candidate_image",
            args=[self.context["examination"], place.position],
            request=self.context["request"],
        )


class ShownEditSerializer(serializers.Serializer[ProbeEdit]):
    """An edit of the probe, to look at beside the original. You decide on the original."""

    number = serializers.IntegerField()
    words = serializers.CharField(help_text="What was done to the copy.")
    image = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.URI)
    def get_image(self, edit: ProbeEdit) -> str:
        args = [self.context["examination"], edit.number]
        return reverse("api_examination_edit_image", args=args, request=self.context["request"])


class SheetSerializer(serializers.Serializer[queries.Sheet]):
    id = serializers.UUIDField(source="examination.pk")
    state = serializers.ChoiceField(source="examination.state", choices=Examination.State.choices)
    claimed_at = serializers.DateTimeField(source="examination.claimed_at")
    concluded_at = serializers.DateTimeField(source="examination.concluded_at", allow_null=True)
    found = serializers.IntegerField()
    total = serializers.IntegerField()
    over = serializers.BooleanField(help_text="Whether all have concluded; false until you have.")
    probe_image = serializers.SerializerMethodField()
    face = serializers.ListField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="The face searched: x, y, width, height as shares of the probe's sides.",
    )
    edits = ShownEditSerializer(many=True, help_text="Those there were when the search was requested.")
    candidates = CandidatePlaceSerializer(source="places", many=True)

    @extend_schema_field(OpenApiTypes.URI)
    def get_probe_image(self, sheet: queries.Sheet) -> str:
        return reverse("api_examination_probe_image", args=[sheet.examination.pk], request=self.context["request"])


class NewFindingSerializer(serializers.Serializer[Any]):
    """What is left out stays as it was saved before."""

    position = serializers.IntegerField(min_value=1, max_value=50)
    conclusion = serializers.ChoiceField(
        choices=Finding.Conclusion.choices, required=False, allow_blank=True, help_text="Empty: a draft."
    )
    notes = serializers.CharField(
        max_length=Finding.NOTES_LIMIT, required=False, allow_blank=True, trim_whitespace=False
    )
    worksheet = WorksheetSerializer(required=False)
    saved_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="Of the finding you change, as you read it. Where another one is stored, and it differs: 409.",
    )


class StoredSerializer(serializers.ModelSerializer[Finding]):
    conclusion = serializers.CharField()
    notes = serializers.CharField()
    worksheet = WorksheetSerializer()

    class Meta:
        model = Finding
        fields = ("conclusion", "notes", "worksheet", "saved_at")


class OutdatedSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    stored = StoredSerializer(required=False, help_text="Of an `outdated` finding: send its `saved_at` to change it.")


class SavedAtSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(min_value=1, max_value=50)
    saved_at = serializers.DateTimeField()


class RemainingSerializer(serializers.Serializer[Any]):
    drafts = SavedAtSerializer(
        many=True,
        required=False,
        help_text="As you read them. A draft that isn't here as it is stored is left as it is.",
    )


def _sheet(request: Request, mine: Examination, code: int = status.HTTP_200_OK) -> Response:
    context = {"request": request, "examination": mine.pk}
    return Response(SheetSerializer(queries.sheet(mine), context=context).data, status=code)


class ExaminationQueue(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=QueueSerializer)
    def get(self, request: Request) -> Response:
        """How much waits for you. Needs a valid certificate."""
        if not signed_in(request).may_examine():
            raise NotAllowed(services.NO_CERTIFICATE)
        return Response(QueueSerializer(queries.queue_of(signed_in(request))).data)


class NextExamination(APIView):
    permission_classes = EXAMINER

    @extend_schema(request=None, responses={201: SheetSerializer})
    def post(self, request: Request) -> Response:
        """Claim the oldest search you may examine, of an urgent case first; 409 when nothing waits."""
        mine = services.claim_next(by=signed_in(request))
        return _sheet(request, mine, status.HTTP_201_CREATED)


class Examinations(generics.ListAPIView[Examination]):
    """Your examinations, the newest first."""

    permission_classes = EXAMINER
    serializer_class = ExaminationSerializer
    filterset_fields = ("state",)
    queryset = Examination.objects.none()

    def get_queryset(self) -> Any:
        mine = Examination.objects.visible_to(signed_in(self.request))
        return queries.with_progress(mine).order_by("-claimed_at")


class OneExamination(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=SheetSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """An examination of yours: the candidates in your order, and what you found."""
        mine = own_examination(request, pk)
        if mine.state == Examination.State.CLAIMED:
            services.require_fit(signed_in(request), mine)
        outcomes.examination_opened(by=signed_in(request), examination=mine)
        return _sheet(request, mine)


class ExaminationProbeImage(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=JPEG, parameters=[SIZE])
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The probe: the original image, upright and whole."""
        return image(
            pictures.probe_examined(
                by=signed_in(request), examination=own_examination(request, pk), thumb=_thumb(request)
            )
        )


class ExaminationEditImage(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=JPEG)
    def get(self, request: Request, pk: UUID, number: int) -> HttpResponse:
        """An edit of the probe, whole; 404 where there was none of this number when the search was requested."""
        return image(
            pictures.edit_examined(by=signed_in(request), examination=own_examination(request, pk), number=number)
        )


class ExaminationCandidateImage(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=JPEG, parameters=[SIZE])
    def get(self, request: Request, pk: UUID, position: int) -> HttpResponse:
        """A candidate's photograph by its position; 404 where the record was expunged or sealed."""
        mine = own_examination(request, pk)
        return image(
            pictures.candidate_examined(
                by=signed_in(request), examination=mine, position=position, thumb=_thumb(request)
            )
        )


class Findings(APIView):
    permission_classes = EXAMINER

    @extend_schema(request=NewFindingSerializer, responses={200: SheetSerializer, 409: OutdatedSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Save what you concluded on one candidate, or change it. Nothing newer is overwritten: 409 with what is
        stored. The same content again is a success."""
        mine = own_examination(request, pk)
        body = NewFindingSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            services.save_finding(by=signed_in(request), examination=mine, **body.validated_data)
        except services.Outdated as error:
            told = {"code": error.code, "detail": error.message, "stored": error.stored}
            return Response(OutdatedSerializer(told).data, status=error.status)
        return _sheet(request, mine)


class ExcludeRemaining(APIView):
    permission_classes = EXAMINER

    @extend_schema(request=RemainingSerializer, responses=SheetSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """“Different people” on every candidate without a finding."""
        mine = own_examination(request, pk)
        body = RemainingSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        drafts = _saved_at(body.validated_data.get("drafts", []))
        services.exclude_remaining(by=signed_in(request), examination=mine, drafts=drafts)
        return _sheet(request, mine)


class Release(APIView):
    permission_classes = EXAMINER

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Give the examination back to the queue."""
        services.release(by=signed_in(request), examination=own_examination(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ConcludeSerializer(serializers.Serializer[Any]):
    seen = SavedAtSerializer(
        many=True,
        required=False,
        help_text="All findings as you know them: 409 when what would be locked is anything else. Left out: not asked.",
    )


class Conclude(APIView):
    permission_classes = EXAMINER

    @extend_schema(request=ConcludeSerializer, responses=SheetSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Lock your findings for good; 409 while a candidate has none."""
        mine = own_examination(request, pk)
        body = ConcludeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        seen = _saved_at(body.validated_data["seen"]) if "seen" in body.validated_data else None
        services.conclude(by=signed_in(request), examination=mine, seen=seen)
        return _sheet(request, mine)


def _saved_at(known: list[dict[str, Any]]) -> services.SavedAt:
    return {one["position"]: one["saved_at"] for one in known}


def _thumb(request: Request) -> bool:
    return request.query_params.get("size") == "thumb"
