"""The REST API: every room's routes under /api/v1/, and how a refusal is answered. Same rules, same services."""

from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import ErrorDetail
from rest_framework.response import Response
from rest_framework.views import exception_handler

from mugsearch.errors import MugsearchError


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """{"code": …, "detail": one sentence} with the error's own status."""
    if isinstance(error, MugsearchError):
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
        return Response({"code": error.code, "detail": error.message}, status=error.status, headers=headers)
    response = exception_handler(error, context)
    # What the framework refuses is told in the same two words. Wrong fields are told by their names.
    detail = response.data.get("detail") if response is not None and isinstance(response.data, dict) else None
    if response is not None and isinstance(detail, ErrorDetail):
        response.data = {"code": detail.code, "detail": detail}
    return response


# Swagger UI styles itself inline and brings its icons as data; nothing else may.
_docs = csp_update({"style-src": [UNSAFE_INLINE], "img-src": ["data:"]})(
    SpectacularSwaggerSplitView.as_view(url_name="api_schema")
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("mugsearch.accounts.api_urls")),
    path("", include("mugsearch.gallery.api_urls")),
    path("", include("mugsearch.probes.api_urls")),
    path("", include("reviews.api_urls")),
    path("", include("mugsearch.retention.api_urls")),
    path("", include("mugsearch.retention.disposition_api_urls")),
    path("", include("mugsearch.auditing.api_urls")),
    path("", include("mugsearch.disclosure.api_urls")),
    path("schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("docs/", _docs, name="api_docs"),
]
