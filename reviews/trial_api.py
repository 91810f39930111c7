"""Known-answer trials over REST: material, trials and results for supervisors, an examiner's own figures."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
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
from mugsearch.trials import services as material
from mugsearch.trials.models import Subject, Trial, TrialPhoto
from mugsearch.vault.responses import image
from reviews import pictures, trial_results, trials
from reviews.proficiency import Rate

SUPERVISOR = [role_permission(Role.SUPERVISOR)]
EXAMINER = [role_permission(Role.EXAMINER)]


class TrialSerializer(serializers.ModelSerializer[Trial]):
    prepared_by = serializers.CharField(source="prepared_by.full_name", read_only=True)

    class Meta:
        model = Trial
        fields = ("id", "kind", "mate_rank", "prepared_by", "prepared_at", "closed_at")


class PrepareSerializer(serializers.Serializer[Any]):
    mated = serializers.IntegerField(min_value=0, default=0)
    non_mated = serializers.IntegerField(min_value=0, default=0)
    look_alike = serializers.IntegerField(min_value=0, default=0)
    pairs = serializers.IntegerField(default=1, help_text="For how many pairs of examiners.")
    days = serializers.IntegerField(default=14, help_text="Over how many days they come into the queue.")


class TrialPhotoSerializer(serializers.ModelSerializer[TrialPhoto]):
    class Meta:
        model = TrialPhoto
        fields = ("id", "state", "trouble", "width", "height")


class SubjectSerializer(serializers.ModelSerializer[Subject]):
    photos = TrialPhotoSerializer(many=True, read_only=True)

    class Meta:
        model = Subject
        fields = ("id", "code", "consent", "reference", "added_at", "withdrawn_at", "photos")


class NewSubjectSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=64)
    consent = serializers.ChoiceField(choices=Subject.Consent.choices)
    reference = serializers.CharField(max_length=Subject.REFERENCE_LIMIT)
    photos = serializers.ListField(child=serializers.FileField(max_length=200), max_length=material.MOST_AT_ONCE)


class RateSerializer(serializers.Serializer[Rate]):
    errors = serializers.IntegerField()  # type: ignore[assignment]  # a field's name here
    tried = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(help_text="Wilson's interval of 95 %.")
    high = serializers.FloatField()


class AgreementSerializer(serializers.Serializer[Any]):
    candidates = serializers.IntegerField()
    kappa = serializers.FloatField(allow_null=True, help_text="Cohen's kappa of naming a candidate or not.")


class RecordSerializer(serializers.Serializer[Any]):
    examiner = serializers.UUIDField(source="examiner.pk")
    name = serializers.CharField(source="examiner.full_name")
    trials = serializers.SerializerMethodField()
    misses = RateSerializer()
    false_leads = RateSerializer()
    misses_now = RateSerializer(help_text="Since they were last taken out of the queue: what the bar is held against.")
    false_leads_now = RateSerializer()
    agreement = AgreementSerializer(source="overall")
    below_the_bar = serializers.BooleanField()
    certified = serializers.BooleanField()

    def get_trials(self, record: trial_results.Record) -> int:
        return len(record.tried)


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=trials.REASON_LIMIT)


class PreparersOnly(APIView):
    """For supervisors who don't examine."""

    permission_classes = SUPERVISOR

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        material.require_preparer(signed_in(request))


class Trials(Recorded, PreparersOnly, generics.ListAPIView[Trial]):
    """Known-answer trials, the newest first; POST prepares some."""

    thing = "trial"
    serializer_class = TrialSerializer
    queryset = Trial.objects.none()

    def get_queryset(self) -> Any:
        return Trial.objects.visible_to(signed_in(self.request)).select_related("prepared_by")

    @extend_schema(request=PrepareSerializer, responses={201: TrialSerializer(many=True)})
    def post(self, request: Request) -> Response:
        asked = PrepareSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        counts = {kind.value: values[kind.value] for kind in Trial.Kind}
        made = trials.prepare(by=signed_in(request), counts=counts, pairs=values["pairs"], days=values["days"])
        return Response(TrialSerializer(made, many=True).data, status=status.HTTP_201_CREATED)


class CloseTrial(PreparersOnly):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Nobody is given it any more; those who concluded it are told what it was."""
        found = get_object_or_404(Trial.objects.visible_to(signed_in(request)), pk=pk)
        trials.close(by=signed_in(request), trial=found)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TrialMaterial(Recorded, PreparersOnly, generics.ListAPIView[Subject]):
    """The subjects of trials and their photographs; POST adds photographs of one."""

    thing = "trial-subject"
    serializer_class = SubjectSerializer
    queryset = Subject.objects.none()
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> Any:
        return Subject.objects.visible_to(signed_in(self.request)).prefetch_related("photos")

    @extend_schema(request=NewSubjectSerializer, responses={201: SubjectSerializer})
    def post(self, request: Request) -> Response:
        given = NewSubjectSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        uploads = values.pop("photos")
        if any(upload.size > images.DEFAULT_LIMITS.max_bytes for upload in uploads):
            raise BadInput("One of the photographs is larger than 32 MB.")
        subject = material.add(by=signed_in(request), photos=[upload.read() for upload in uploads], **values)
        return Response(SubjectSerializer(subject).data, status=status.HTTP_201_CREATED)


class WithdrawSubject(PreparersOnly):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Destroy the photographs of somebody who takes their consent back."""
        subject = get_object_or_404(Subject.objects.visible_to(signed_in(request)), pk=pk)
        trials.withdraw(by=signed_in(request), subject=subject)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TrialPhotoImage(PreparersOnly):
    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        visible = Subject.objects.visible_to(signed_in(request))
        photo = get_object_or_404(TrialPhoto.objects.filter(subject__in=visible), pk=pk)
        return image(pictures.of_trial(by=signed_in(request), photo=photo, thumb=False))


class TrialExaminers(PreparersOnly):
    @extend_schema(responses=RecordSerializer(many=True))
    def get(self, request: Request) -> Response:
        """How each examiner of the agency did."""
        records = trial_results.of_agency(signed_in(request))
        shown = [str(one.examiner.pk) for one in records]
        audit.record("trial.results-viewed", by=signed_in(request), shown=shown)
        return Response(RecordSerializer(records, many=True).data)


class TakeOut(PreparersOnly):
    @extend_schema(request=ReasonSerializer, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Take an examiner who is below the policy's bar out of the queue until re-certified."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        person: User = get_object_or_404(trial_results.examiners_of(signed_in(request)), pk=pk)
        trials.take_out(by=signed_in(request), examiner=person, reason=given.validated_data["reason"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class MyTrials(APIView):
    permission_classes = EXAMINER

    @extend_schema(responses=RecordSerializer)
    def get(self, request: Request) -> Response:
        """One's own figures, of closed trials only."""
        by = signed_in(request)
        audit.record("trial.results-viewed", by=by, shown=[str(by.pk)])
        return Response(RecordSerializer(trial_results.told_to(by)).data)
