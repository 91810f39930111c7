"""Recording an examiner's certificate over REST; listing and revoking is with the users."""

from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import signed_in
from mugsearch.accounts.models import User
from mugsearch.accounts.user_api import ADMINISTRATOR, CertificateSerializer
from reviews import certificates


class NewCertificateSerializer(CertificateSerializer):
    class Meta(CertificateSerializer.Meta):
        extra_kwargs: ClassVar[dict[str, Any]] = {
            **CertificateSerializer.Meta.extra_kwargs,
            "expires_on": {"required": False, "help_text": "Left out: the last day the policy allows."},
        }


class UserCertificates(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(request=NewCertificateSerializer, responses={201: CertificateSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Record an examiner's certificate; 422 where it would count for longer than the policy lets it."""
        user = get_object_or_404(User.objects.people(), pk=pk)
        body = NewCertificateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = certificates.record_certificate(by=signed_in(request), examiner=user, **body.validated_data)
        return Response(CertificateSerializer(made).data, status=status.HTTP_201_CREATED)
