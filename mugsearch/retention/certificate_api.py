"""Certificates for programs: the same bytes as the pages hand out, to the same people."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.retention import certificate_views

READERS = [role_permission(*certificate_views.READERS)]


class AsJson(APIView):
    permission_classes = READERS

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The signed certificate of a complete order: `certificate`, `public_key`, `signature`. The signature (Ed25519)
        is of the bytes between the first line and the one before `public_key`; see docs/records.md."""
        return certificate_views.handed_out(signed_in(request), pk, "json")


class AsPdf(APIView):
    permission_classes = READERS

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """The same to print, with the signed JSON attached."""
        return certificate_views.handed_out(signed_in(request), pk, "pdf")
