"""The disclosure bundle for programs."""

from uuid import UUID

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.disclosure import queries, services, views


class Disclosure(APIView):
    permission_classes = (role_permission(Role.AUDITOR, Role.SUPERVISOR, sensitive=Sensitive.EXPORT),)

    @extend_schema(request=None, responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def post(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Everything about a search whose examination is over, as one signed ZIP. Making it is recorded."""
        found = get_object_or_404(queries.within_reach(signed_in(request)), pk=pk)
        return views.stream(services.make(by=signed_in(request), search=found))
