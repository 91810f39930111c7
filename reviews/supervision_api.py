"""Open examinations over REST, for supervisors: whose they are and how far, never the candidates or the case."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit.reading import Recorded
from reviews import queries, services
from reviews.models import Examination

SUPERVISOR = [role_permission(Role.SUPERVISOR)]


class OpenExaminationSerializer(serializers.ModelSerializer[Examination]):
    examiner = serializers.CharField(source="examiner.full_name", read_only=True)
    found = serializers.IntegerField(help_text="Candidates with a finding.", read_only=True)
    total = serializers.IntegerField(help_text="Candidates that need one.", read_only=True)

    class Meta:
        model = Examination
        fields = ("id", "examiner", "claimed_at", "found", "total")


class OpenExaminations(Recorded, generics.ListAPIView[Examination]):
    """Who holds an examination since when, the longest first. Not your own, and none of a case you are on."""

    thing = "examination"
    permission_classes = SUPERVISOR
    serializer_class = OpenExaminationSerializer
    queryset = Examination.objects.none()

    def get_queryset(self) -> Any:
        return queries.open_to(signed_in(self.request))


class Free(APIView):
    permission_classes = SUPERVISOR

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Give somebody else's open examination back to the queue."""
        examination = get_object_or_404(queries.open_to(signed_in(request)), pk=pk)
        services.free(by=signed_in(request), examination=examination)
        return Response(status=status.HTTP_204_NO_CONTENT)
