"""Signed heads for people and programs: how each destination stands, one now, and the file of each."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import needs, role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit.models import SignedHead
from mugsearch.auditing import destinations, services, tasks
from mugsearch.auditing import heads as signed_heads
from mugsearch.vault import signing

WHO = (Role.AUDITOR, Role.ADMINISTRATOR)
SHOWN = 24


@needs(*WHO)
@require_http_methods(["GET", "POST"])
def heads(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        head = signed_heads.sign(by=signed_in(request))
        _send()
        messages.success(request, f"Head {head.serial} is signed and on its way. Download it to keep it yourself.")
        return redirect("audit_heads")
    context = {
        "statuses": signed_heads.statuses(),
        "heads": SignedHead.objects.order_by("-serial")[:SHOWN],
        "fingerprint": signing.fingerprint(),
        "reads_audit": signed_in(request).has_role(Role.AUDITOR),
    }
    return render(request, "auditing/heads.html", context)


@needs(*WHO)
@require_GET
def head(request: HttpRequest, serial: int) -> HttpResponse:
    found = get_object_or_404(SignedHead, pk=serial)
    services.take_along(by=signed_in(request), head=found)
    return _file(found)


def _send() -> None:
    """At once, by a worker; without a broker the scheduler finds it within five minutes."""
    transaction.on_commit(tasks.send_heads.delay, robust=True)


def _file(head: SignedHead) -> HttpResponse:
    said = {"Content-Disposition": f'attachment; filename="{destinations.name_of(head)}"'}
    return HttpResponse(
        destinations.file_of(head),
        content_type="application/json",
        headers={**said, "X-Content-Type-Options": "nosniff"},
    )


class HeadSerializer(serializers.ModelSerializer[SignedHead]):
    class Meta:
        model = SignedHead
        fields = ("serial", "number", "digest", "at")
        read_only_fields = fields


class DestinationSerializer(serializers.Serializer[Any]):
    destination = serializers.CharField(source="way.name")
    last = HeadSerializer(allow_null=True, help_text="The newest head that got there.")
    left_at = serializers.DateTimeField(allow_null=True)
    waiting = serializers.IntegerField(help_text="Heads that have not got there yet.")
    trouble = serializers.CharField(help_text="Why the oldest of them hasn't; empty when nothing is wrong.")
    caution = serializers.CharField(source="way.caution")
    late = serializers.BooleanField(help_text="No head got there in the last two hours.")


class HeadsSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(help_text="The fingerprint of the key that signs.")
    destinations = DestinationSerializer(many=True)
    heads = HeadSerializer(many=True, help_text=f"The newest {SHOWN}.")


class Heads(APIView):
    permission_classes = (role_permission(*WHO),)

    @extend_schema(operation_id="audit_heads_list", responses=HeadsSerializer)
    def get(self, request: Request) -> Response:
        """By destination, the last signed head that left; and the newest heads."""
        said = {
            "key": signing.fingerprint(),
            "destinations": signed_heads.statuses(),
            "heads": SignedHead.objects.order_by("-serial")[:SHOWN],
        }
        return Response(HeadsSerializer(said).data)

    @extend_schema(request=None, responses={201: HeadSerializer})
    def post(self, request: Request) -> Response:
        """Sign a head of the last entry now, and send it to every destination."""
        head = signed_heads.sign(by=signed_in(request))
        _send()
        return Response(HeadSerializer(head).data, status=201)


class OneHead(APIView):
    permission_classes = (role_permission(*WHO),)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, serial: int) -> HttpResponse:
        """The file of a head, as verify_audit.py reads it."""
        found = get_object_or_404(SignedHead, pk=serial)
        services.take_along(by=signed_in(request), head=found)
        return _file(found)
