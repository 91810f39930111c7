"""Orders over REST: look what would be done, ask, look again, approve as another clerk, follow until complete."""

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
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.audit.reading import Recorded
from mugsearch.errors import WrongState
from mugsearch.retention import queries, services, words
from mugsearch.retention.models import ExpungementOrder

Kind = ExpungementOrder.Kind
RECORDS = [role_permission(Role.RECORDS)]
PURGE = [role_permission(Role.RECORDS, sensitive=Sensitive.PURGE)]


class OrderSerializer(serializers.ModelSerializer[ExpungementOrder]):
    """`counts` is what the request showed and, once erased, what went. `troubles` says which steps failed last.
    One that a rule made has `rule`, `policy_digest` and, but for juveniles, `disposition`, and no people."""

    booking_number = serializers.CharField(read_only=True, help_text="As long as the booking is here.")
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    troubles = serializers.DictField(child=serializers.CharField(), read_only=True)
    checks = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()),
        read_only=True,
        help_text="Of each step that is done, what it looked at: numbers only.",
    )

    class Meta:
        model = ExpungementOrder
        fields = (
            "id",
            "kind",
            "whole_person",
            "order_number",
            "reason",
            "state",
            "booking",
            "booking_number",
            "rule",
            "disposition",
            "policy_digest",
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
            "leavings_gone_at",
            "vacuumed_at",
            "verified_at",
            "completed_at",
            "checks",
            "troubles",
        )
        read_only_fields = fields


class LookUpSerializer(serializers.Serializer[Any]):
    booking_number = serializers.CharField(max_length=64)
    kind = serializers.ChoiceField(choices=Kind.choices, default=Kind.EXPUNGE)
    whole_person = serializers.BooleanField(default=False, help_text="All bookings of the person, not this one alone.")


class NewOrderSerializer(LookUpSerializer):
    order_number = serializers.CharField(max_length=64)
    reason = serializers.CharField(max_length=500, help_text="Kept for good: without the person's name and numbers.")


class ApproveSerializer(serializers.Serializer[Any]):
    seen = serializers.CharField(max_length=64, help_text="The `digest` of the preview that was looked at.")


class PreviewSerializer(serializers.Serializer[Any]):
    """Places in candidate lists are counted only: which search lists the booking is its examiners' business."""

    kind = serializers.ChoiceField(choices=Kind.choices)
    booking = serializers.SerializerMethodField(help_text="The first of `bookings`.")
    bookings = serializers.SerializerMethodField(help_text="Of one person.")
    digest = serializers.CharField(help_text="Send it as `seen` to approve exactly this.")
    counts = serializers.DictField(child=serializers.IntegerField())
    photos = serializers.SerializerMethodField()
    holds = serializers.SerializerMethodField(help_text="Those in force: while there is one, nobody can approve.")
    leads = serializers.SerializerMethodField(help_text="When the open leads that are withdrawn were released.")
    person_goes = serializers.BooleanField()
    other_bookings = serializers.IntegerField(help_text="Of the same person; they stay.")

    def get_booking(self, preview: queries.Preview) -> UUID:
        return preview.bookings[0].pk

    def get_bookings(self, preview: queries.Preview) -> list[UUID]:
        return [booking.pk for booking in preview.bookings]

    def get_holds(self, preview: queries.Preview) -> list[UUID]:
        return [hold.pk for hold in preview.holds]

    def get_photos(self, preview: queries.Preview) -> list[UUID]:
        return [photo.pk for photo in preview.photos]

    def get_leads(self, preview: queries.Preview) -> list[datetime]:
        return [lead.released_at for lead in preview.leads]


class Orders(Recorded, generics.ListAPIView[ExpungementOrder]):
    """The agency's orders, newest first; POST asks for another one."""

    thing = "expungement"
    permission_classes = PURGE
    serializer_class = OrderSerializer
    filterset_fields = ("state", "kind")
    queryset = ExpungementOrder.objects.none()

    def get_queryset(self) -> Any:
        return ExpungementOrder.objects.visible_to(signed_in(self.request))

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        ExpungementOrder.read_numbers(page or [])
        return page

    @extend_schema(request=NewOrderSerializer, responses={201: OrderSerializer})
    def post(self, request: Request) -> Response:
        """Ask to expunge, seal or unseal. Another records clerk has to approve it."""
        asked = NewOrderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = signed_in(request)
        given = dict(asked.validated_data)
        booking = services.look_up(by=user, booking_number=given.pop("booking_number"))
        order = services.request(by=user, booking=booking, **{**given, "kind": Kind(given["kind"])})
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
        """What an order about this booking would do. A POST, so that the number stays out of logs."""
        asked = LookUpSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = signed_in(request)
        kind = Kind(asked.validated_data["kind"])
        booking = services.look_up(by=user, booking_number=asked.validated_data["booking_number"])
        bookings = queries.covered(kind, booking, whole_person=asked.validated_data["whole_person"])
        if not bookings:
            raise WrongState("This is sealed already." if kind == Kind.SEAL else "This is not sealed.")
        audit.record(f"{words.SAID[kind]['thing']}.previewed", by=user, obj=booking)
        return Response(PreviewSerializer(queries.preview(*bookings, kind=kind)).data)


class PreviewOfOrder(APIView):
    permission_classes = RECORDS

    @extend_schema(responses=PreviewSerializer)
    def get(self, request: Request, pk: UUID) -> Response:
        """What is done if this order is approved now."""
        user = signed_in(request)
        order = _order(user, pk)
        preview = queries.of_order(order)
        if preview is None:
            raise WrongState("Nothing is left of what this order is about.")
        audit.record(f"{order.what}.previewed", by=user, obj=preview.bookings[0])
        return Response(PreviewSerializer(preview).data)


class Approve(APIView):
    permission_classes = PURGE

    @extend_schema(request=ApproveSerializer, responses=OrderSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Approve, as another clerk than the one who asked. It is done when this answers."""
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
