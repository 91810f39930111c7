"""Expungement over REST: look what would go, ask, look again, approve as another clerk, follow until complete."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.errors import WrongState
from mugsearch.gallery.models import Booking
from mugsearch.retention import queries, services
from mugsearch.retention.models import ExpungementOrder

RECORDS = [role_permission(Role.RECORDS)]


class OrderSerializer(serializers.ModelSerializer[ExpungementOrder]):
    """`counts` is what the request showed and, once erased, what went. `troubles` says which steps failed last."""

    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    troubles = serializers.DictField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ExpungementOrder
        fields = (
            "id",
            "order_number",
            "reason",
            "state",
            "booking",
            "booking_number",
            "requested_by",
            "requested_at",
            "withdrawn_by",
            "withdrawn_at",
            "approved_by",
            "approved_at",
            "counts",
            "generation",
            "erased_at",
            "key_destroyed_at",
            "files_removed_at",
            "uploads_gone_at",
            "forgotten_at",
            "completed_at",
            "troubles",
        )
        read_only_fields = fields


class NewOrderSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64)
    order_number = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=500, help_text="Kept for good: without the person's name and numbers.")


class LookUpSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64)


class ApproveSerializer(serializers.Serializer[Any]):
    seen = serializers.CharField(max_length=64, help_text="The `digest` of the preview that was looked at.")


class PreviewSerializer(serializers.Serializer[Any]):
    """Places in candidate lists are counted only: which search lists the booking is its examiners' business."""

    booking = serializers.UUIDField(source="booking.pk")
    digest = serializers.CharField(help_text="Send it as `seen` to approve exactly this.")
    counts = serializers.DictField(child=serializers.IntegerField())
    photos = serializers.SerializerMethodField()
    leads = serializers.SerializerMethodField(help_text="When the open leads that are withdrawn were released.")
    person_goes = serializers.BooleanField()
    other_bookings = serializers.IntegerField(help_text="Of the same person; they stay.")

    def get_photos(self, preview: queries.Preview) -> list[UUID]:
        return [photo.pk for photo in preview.photos]

    def get_leads(self, preview: queries.Preview) -> list[datetime]:
        return [lead.released_at for lead in preview.leads]


class Orders(Recorded, generics.ListAPIView[ExpungementOrder]):
    """The agency's orders, newest first; POST asks for an expungement."""

    thing = "expungement"
    permission_classes = RECORDS
    serializer_class = OrderSerializer
    filterset_fields = ("state",)
    queryset = ExpungementOrder.objects.none()

    def get_queryset(self) -> Any:
        return ExpungementOrder.objects.visible_to(signed_in(self.request))

    @extend_schema(request=NewOrderSerializer, responses={201: OrderSerializer})
    def post(self, request: Request) -> Response:
        """Ask for the expungement of a booking. Another records clerk has to approve it."""
        asked = NewOrderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = signed_in(request)
        order = services.request_expungement(
            by=user,
            booking=services.look_up(by=user, booking_number=asked.validated_data["booking_number"]),
            order_number=asked.validated_data["order_number"],
            reason=asked.validated_data["reason"],
        )
        return Response(OrderSerializer(order).data, status=status.HTTP_201_CREATED)


class OneOrder(Recorded, generics.RetrieveAPIView[ExpungementOrder]):
    """An order and how far it got."""

    thing = "expungement"
    permission_classes = RECORDS
    serializer_class = OrderSerializer
    queryset = ExpungementOrder.objects.none()

    def get_queryset(self) -> Any:
        return ExpungementOrder.objects.visible_to(signed_in(self.request))


class PreviewOfBooking(APIView):
    permission_classes = RECORDS

    @extend_schema(request=LookUpSerializer, responses=PreviewSerializer)
    def post(self, request: Request) -> Response:
        """What an expungement of this booking would take. A POST, so that the number stays out of logs."""
        asked = LookUpSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = signed_in(request)
        booking = services.look_up(by=user, booking_number=asked.validated_data["booking_number"])
        audit.record("expungement.previewed", by=user, obj=booking)
        return Response(PreviewSerializer(queries.preview(booking)).data)


class PreviewOfOrder(APIView):
    permission_classes = RECORDS

    @extend_schema(responses=PreviewSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """What will go if this order is approved now."""
        user = signed_in(request)
        order = _order(user, pk)
        booking = Booking.objects.filter(pk=order.booking).first() if order.booking else None
        if booking is None:
            raise WrongState("The booking of this order is gone.")
        audit.record("expungement.previewed", by=user, obj=booking)
        return Response(PreviewSerializer(queries.preview(booking)).data)


class Approve(APIView):
    permission_classes = RECORDS

    @extend_schema(request=ApproveSerializer, responses=OrderSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Approve, as another clerk than the one who asked. The records are gone when this answers."""
        asked = ApproveSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        order = _order(signed_in(request), pk)
        services.approve(by=signed_in(request), order=order, seen=asked.validated_data["seen"])
        return Response(OrderSerializer(order).data)


class Withdraw(APIView):
    permission_classes = RECORDS

    @extend_schema(request=None, responses=OrderSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Take back an order that waits for approval."""
        order = _order(signed_in(request), pk)
        services.withdraw(by=signed_in(request), order=order)
        return Response(OrderSerializer(order).data)


def _order(user: User, pk: UUID) -> ExpungementOrder:
    found: ExpungementOrder = get_object_or_404(ExpungementOrder.objects.visible_to(user), pk=pk)
    return found
