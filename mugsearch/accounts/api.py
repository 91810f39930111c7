"""Tokens for programs, and who one is."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import signed_in
from mugsearch.audit import services as audit


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown once. Send it as `Authorization: Token …`.")
    expiry = serializers.DateTimeField()


class MeSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    full_name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    may_examine = serializers.BooleanField()


class PasswordAuthentication(BasicAuthentication):
    """HTTP basic, with a refused password on record."""

    def authenticate_credentials(self, userid: str, password: str, request: Any = None) -> Any:
        try:
            return super().authenticate_credentials(userid, password, request)
        except AuthenticationFailed:
            audit.refuse("token.made", by=None, reason="wrong_sign_in")
            raise


class Tokens(APIView):
    """POST with HTTP basic authentication (user name and password) gives a token for 12 hours."""

    authentication_classes = (PasswordAuthentication,)

    @extend_schema(request=None, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        user = signed_in(request)
        audit.record("token.made", by=user)
        made, token = AuthToken.objects.create(user)
        return Response({"token": token, "expiry": made.expiry}, status=status.HTTP_201_CREATED)


class CurrentToken(APIView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """End the token this request was made with; all of one's tokens when made from a browser's session."""
        user = signed_in(request)
        audit.record("token.ended", by=user)
        token = getattr(request, "auth", None)
        mine = AuthToken.objects.filter(user=user)
        (mine.filter(digest=token.digest) if token is not None else mine).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(APIView):
    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Who the token belongs to, and what they may do."""
        user = signed_in(request)
        return Response(
            {
                "id": user.pk,
                "username": user.username,
                "full_name": user.full_name,
                "roles": sorted(user.roles),
                "may_examine": user.may_examine(),
            }
        )


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's base is untyped
    target_class = PasswordAuthentication
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "basic"}


class KnoxScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's base is untyped
    target_class = "knox.auth.TokenAuthentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token …"}
