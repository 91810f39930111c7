"""Who is on a case, over REST."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.probes import sharing
from mugsearch.probes.models import Case, Membership

INVESTIGATOR = [role_permission(Role.INVESTIGATOR)]


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    """`until` is null while they are on the case; `added_by` is null where that isn't known any more."""

    full_name = serializers.CharField(source="user.full_name", read_only=True)
    responsible = serializers.SerializerMethodField()

    class Meta:
        model = Membership
        fields = ("user", "full_name", "responsible", "since", "added_by", "reason", "until", "ended_by")
        read_only_fields = fields

    def get_responsible(self, membership: Membership) -> bool:
        return membership.until is None and membership.case.responsible_id == membership.user_id


class ShareSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=64)
    reason = serializers.CharField(
        max_length=Membership.REASON_LIMIT, required=False, help_text="Needed for somebody of another agency."
    )


class HandOverSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=64, help_text="An investigator of the case's agency.")
    reason = serializers.CharField(max_length=Membership.REASON_LIMIT)


class AssignSerializer(HandOverSerializer):
    number = serializers.CharField(max_length=64, help_text="Of the case.")


class OfMyCase(APIView):
    permission_classes = INVESTIGATOR

    def case(self) -> Case:
        found: Case = get_object_or_404(Case.objects.visible_to(signed_in(self.request)), pk=self.kwargs["pk"])
        return found


class CaseMembers(OfMyCase):
    @extend_schema(operation_id="cases_members_list", responses=MembershipSerializer(many=True))
    def get(self, request: Request, pk: UUID) -> Response:
        """Who is and was on the case, since and until when, and by whom."""
        case = self.case()
        audit.record("case.viewed", by=signed_in(request), obj=case, case=case.pk)
        return Response(MembershipSerializer(case.memberships.select_related("user", "case"), many=True).data)


class ShareCase(OfMyCase):
    @extend_schema(request=ShareSerializer, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Put another investigator on the case; 409 where they are on it."""
        case = self.case()
        body = ShareSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sharing.share(by=signed_in(request), case=case, **body.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class OneMember(OfMyCase):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID, user: UUID) -> Response:
        """Take somebody off the case, or leave it; 409 for who is responsible."""
        case = self.case()
        sharing.end_sharing(by=signed_in(request), case=case, member=get_object_or_404(case.members, pk=user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class HandOver(OfMyCase):
    @extend_schema(request=HandOverSerializer, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Make somebody else responsible, and leave the case."""
        case = self.case()
        body = HandOverSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sharing.hand_over(by=signed_in(request), case=case, **body.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class AssignCase(APIView):
    permission_classes = (role_permission(Role.SUPERVISOR),)

    @extend_schema(request=AssignSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """For supervisors: make an investigator responsible for a case, which shows nothing of it."""
        body = AssignSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sharing.assign(by=signed_in(request), **body.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)
