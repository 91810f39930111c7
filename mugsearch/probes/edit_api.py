"""Edits of a probe over REST."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit.reading import Recorded
from mugsearch.engine.edits import TONES
from mugsearch.probes import editing
from mugsearch.probes.edit_views import edit_image_for
from mugsearch.probes.models import Probe, ProbeEdit

INVESTIGATOR = [role_permission(Role.INVESTIGATOR)]


class StepSerializer(serializers.Serializer[Any]):
    """Exactly one of these. What each does to the pixels is written in mugsearch/engine/edits.py."""

    rotate = serializers.FloatField(min_value=-180, max_value=180, required=False, help_text="Degrees to the right.")
    crop = serializers.ListField(
        child=serializers.IntegerField(min_value=0),
        min_length=4,
        max_length=4,
        required=False,
        help_text="x, y, width, height in pixels of the picture this step is given.",
    )
    brightness = serializers.IntegerField(min_value=TONES[0], max_value=TONES[1], required=False, help_text="Percent.")
    contrast = serializers.IntegerField(min_value=TONES[0], max_value=TONES[1], required=False, help_text="Percent.")

    def to_internal_value(self, data: Any) -> Any:
        return data  # the engine says what is wrong with a step, a name it doesn't know included

    def to_representation(self, stored: Any) -> Any:
        return stored


class EditSerializer(serializers.ModelSerializer[ProbeEdit]):
    """`number` is what a search names it by; `words` its steps as people read them; `sha256` that of its pixels (red,
    green and blue bytes, row by row). `faces` as of a probe, in the edit's own pixels."""

    steps = StepSerializer(many=True, read_only=True)
    words = serializers.CharField(read_only=True)
    faces = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = ProbeEdit
        fields = (
            "id",
            "number",
            "steps",
            "words",
            "made_by",
            "made_at",
            "sha256",
            "width",
            "height",
            "state",
            "failure",
            "faces",
        )


class NewEditSerializer(serializers.Serializer[Any]):
    steps = StepSerializer(many=True, help_text="Made in this order, each kind at most once.")


class ProbeEdits(Recorded, generics.ListAPIView[ProbeEdit]):
    """The edits of a probe in their order; POST makes one. Poll until none is `received`."""

    thing = "edit"
    permission_classes = INVESTIGATOR
    serializer_class = EditSerializer
    queryset = ProbeEdit.objects.none()

    def get_queryset(self) -> Any:
        return self._probe().edits.select_related("probe")

    @extend_schema(request=NewEditSerializer, responses={201: EditSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """A new image made of the original, which stays as it is. Examiners decide on the original."""
        probe = self._probe()
        body = NewEditSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = editing.edit(by=signed_in(request), probe=probe, steps=body.validated_data["steps"])
        return Response(EditSerializer(made).data, status=status.HTTP_201_CREATED)

    def _probe(self) -> Probe:
        visible = Probe.objects.visible_to(signed_in(self.request))
        found: Probe = get_object_or_404(visible.select_related("case"), pk=self.kwargs["pk"])
        return found


class EditImage(APIView):
    permission_classes = INVESTIGATOR

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID, number: int) -> HttpResponse:
        """An edit, at most 1600 pixels on its longer side."""
        return edit_image_for(signed_in(request), pk, number)
