"""Tokens for programs, and who one is."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts import signing, tokens
from mugsearch.accounts.access import ANYBODY, OWN_ACCOUNT, signed_in
from mugsearch.accounts.models import ApiToken
from mugsearch.accounts.scopes import SCOPES
from mugsearch.errors import BadInput


class NewTokenSerializer(serializers.Serializer[Any]):
    """`code`: of the second factor, or a recovery code."""

    username = serializers.CharField(max_length=64)
    password = serializers.CharField(max_length=200, trim_whitespace=False)
    code = serializers.CharField(max_length=32)
    name = serializers.CharField(max_length=60, help_text="Which program has it.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=[(scope, text) for scope, (_, text) in SCOPES.items()]), min_length=1
    )
    hours = serializers.IntegerField(default=tokens.HOURS, min_value=1)


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields = ("id", "name", "scopes", "created", "expiry", "used_at")


class MadeTokenSerializer(TokenSerializer):
    token = serializers.CharField(help_text="Shown once. Send it as `Authorization: Token …`.")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")  # type: ignore[assignment]  # one more


class MeSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    username = serializers.CharField()
    full_name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    may_examine = serializers.BooleanField()


class Tokens(generics.ListAPIView[ApiToken]):
    """One's own tokens. POST makes one: with user name, password and a code, not with another token or a session."""

    serializer_class = TokenSerializer
    filter_backends = ()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return tokens.living().filter(user=signed_in(self.request))

    def get_authenticators(self) -> list[Any]:
        return [] if self.request and self.request.method == "POST" else super().get_authenticators()

    def get_permissions(self) -> list[Any]:
        return [AllowAny()] if self.request.method == "POST" else [one() for one in OWN_ACCOUNT]

    @extend_schema(auth=[], request=NewTokenSerializer, responses={201: MadeTokenSerializer})
    def post(self, request: Request) -> Response:
        body = NewTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        told = dict(body.validated_data)
        user = signing.check(*(told.pop(name) for name in ("username", "password", "code")))
        made, secret = tokens.make(by=user, **told)
        return Response({**TokenSerializer(made).data, "token": secret}, status=status.HTTP_201_CREATED)


class OneToken(APIView):
    permission_classes = OWN_ACCOUNT

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """End it: one's own, or as an administrator anybody's."""
        user = signed_in(request)
        tokens.end(by=user, token=get_object_or_404(tokens.visible_to(user), id=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CurrentToken(APIView):
    permission_classes = ANYBODY

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """End the token that this request was made with."""
        if not isinstance(request.auth, ApiToken):
            raise BadInput("This request was made without a token. End one by its id.")
        tokens.end(by=signed_in(request), token=request.auth)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(APIView):
    permission_classes = ANYBODY

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


class KnoxScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's base is untyped
    target_class = "mugsearch.accounts.tokens.Authentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token …"}
