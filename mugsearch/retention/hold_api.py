"""Legal holds over REST."""

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
from mugsearch.retention import holds, services
from mugsearch.retention.models import Hold

RECORDS = [role_permission(Role.RECORDS)]


class HoldSerializer(serializers.ModelSerializer[Hold]):
    last_day = serializers.DateField(allow_null=True, help_text="Null: until it is lifted.")
    in_force = serializers.BooleanField(source="is_in_force")

    class Meta:
        model = Hold
        fields = (
            "id",
            "booking",
            "reference",
            "reason",
            "set_by",
            "set_at",
            "last_day",
            "lifted_by",
            "lifted_at",
            "in_force",
        )
        read_only_fields = fields


class NewHoldSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64)
    reference = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=500)
    last_day = serializers.DateField(allow_null=True, default=None)


class Holds(Recorded, generics.ListCreateAPIView[Hold]):
    """The agency's holds, newest first, for records staff and supervisors. Records staff set one with POST."""

    thing = "hold"
    serializer_class = HoldSerializer
    filterset_fields = ("booking",)
    queryset = Hold.objects.none()

    def get_permissions(self) -> Any:
        may = (Role.RECORDS,) if self.request.method == "POST" else (Role.RECORDS, Role.SUPERVISOR)
        return [role_permission(*may)()]

    def get_queryset(self) -> Any:
        return Hold.objects.visible_to(signed_in(self.request))

    @extend_schema(request=NewHoldSerializer, responses={201: HoldSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Set a hold: while it lasts the booking is neither sealed nor expunged."""
        asked = NewHoldSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user, given = signed_in(request), dict(asked.validated_data)
        booking = services.look_up(by=user, booking_number=given.pop("booking_number"))
        hold = holds.set_hold(by=user, booking=booking, **given)
        return Response(HoldSerializer(hold).data, status=status.HTTP_201_CREATED)


class LiftHold(APIView):
    permission_classes = RECORDS

    @extend_schema(request=None, responses=HoldSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """End a hold."""
        user = signed_in(request)
        hold: Hold = get_object_or_404(Hold.objects.visible_to(user).select_related("booking"), pk=pk)
        holds.lift(by=user, hold=hold)
        return Response(HoldSerializer(hold).data)
