"""Sessions, and what an administrator does for somebody who can't get in."""

from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts import factors, signing, sittings
from mugsearch.accounts.access import OWN_ACCOUNT, role_permission, signed_in
from mugsearch.accounts.models import Role, Sitting, User
from mugsearch.accounts.scopes import Sensitive

ADMINISTRATOR = [role_permission(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)]


class SittingSerializer(serializers.ModelSerializer[Sitting]):
    class Meta:
        model = Sitting
        fields = ("id", "started_at", "active_at", "address", "browser")


class Sessions(generics.ListAPIView[Sitting]):
    """One's own sessions that have not ended."""

    permission_classes = OWN_ACCOUNT
    serializer_class = SittingSerializer
    filterset_fields = ()
    queryset = Sitting.objects.none()

    def get_queryset(self) -> "QuerySet[Sitting]":
        me = signed_in(self.request)
        return sittings.visible_to(me).filter(user=me)


class UserSessions(generics.ListAPIView[Sitting]):
    """Somebody's sessions that have not ended, for administrators."""

    permission_classes = ADMINISTRATOR
    serializer_class = SittingSerializer
    filterset_fields = ()
    queryset = Sitting.objects.none()

    def get_queryset(self) -> "QuerySet[Sitting]":
        user = get_object_or_404(User.objects.people(), pk=self.kwargs["pk"])
        return sittings.visible_to(signed_in(self.request)).filter(user=user)


class OneSession(APIView):
    permission_classes = OWN_ACCOUNT

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """End a session: one's own, or as an administrator anybody's."""
        me = signed_in(request)
        found = get_object_or_404(sittings.visible_to(me), pk=pk)
        sittings.end(by=me, sitting_id=found.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserUnlock(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pk: UUID) -> Response:
        """Unlock an account that too many failures have locked."""
        signing.unlock(by=signed_in(request), user=get_object_or_404(User.objects.people(), pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class UserSecondFactor(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Reset somebody's second factor: they set up a new one at the next sign-in."""
        factors.reset(by=signed_in(request), user=get_object_or_404(User.objects.people(), pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)
