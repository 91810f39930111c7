"""Users, their roles and certificates, for administrators."""

from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts import services
from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Agency, ExaminerCertificate, Role, User
from mugsearch.accounts.scopes import Sensitive

ADMINISTRATOR = [role_permission(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)]


class CertificateSerializer(serializers.ModelSerializer[ExaminerCertificate]):
    class Meta:
        model = ExaminerCertificate
        fields = ("id", "programme", "issued_by", "hours", "issued_on", "expires_on", "revoked_at")
        read_only_fields = ("id", "revoked_at")
        extra_kwargs: ClassVar = {"programme": {"required": True, "allow_blank": False}}


class UserSerializer(serializers.ModelSerializer[User]):
    agency: Any = serializers.SlugRelatedField(slug_field="code", read_only=True)
    roles = serializers.SerializerMethodField()
    certificates = CertificateSerializer(many=True, read_only=True)

    class Meta:
        model = User
        fields = ("id", "username", "full_name", "agency", "is_active", "locked_at", "roles", "certificates")

    def get_roles(self, user: User) -> list[str]:
        return sorted(user.roles)


class RolesSerializer(serializers.Serializer[Any]):
    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices))


class NewUserSerializer(RolesSerializer):
    username = serializers.SlugField(max_length=64)
    full_name = serializers.CharField(max_length=120)
    agency = serializers.SlugRelatedField(slug_field="code", queryset=Agency.objects.all())
    password = serializers.CharField(max_length=200, write_only=True)


class ActiveSerializer(serializers.Serializer[Any]):
    active = serializers.BooleanField()


class Users(generics.ListAPIView[User]):
    """Everybody with an account; POST adds one."""

    permission_classes = ADMINISTRATOR
    serializer_class = UserSerializer
    filterset_fields = ("username", "is_active")
    queryset = User.objects.people().select_related("agency").prefetch_related("grants", "certificates")

    @extend_schema(request=NewUserSerializer, responses={201: UserSerializer})
    def post(self, request: Request) -> Response:
        body = NewUserSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        values = {**body.validated_data, "roles": [Role(role) for role in body.validated_data["roles"]]}
        user = services.add_user(by=signed_in(request), **values)
        return Response(UserSerializer(user).data, status=status.HTTP_201_CREATED)


class OneUser(generics.RetrieveAPIView[User]):
    permission_classes = ADMINISTRATOR
    serializer_class = UserSerializer
    queryset = User.objects.people()


class UserRoles(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(request=RolesSerializer, responses={200: UserSerializer})
    def put(self, request: Request, pk: UUID) -> Response:
        """Give exactly these roles."""
        user = get_object_or_404(User.objects.people(), pk=pk)
        body = RolesSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.set_roles(
            by=signed_in(request), user=user, roles=[Role(role) for role in body.validated_data["roles"]]
        )
        return Response(UserSerializer(user).data)


class UserActive(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(request=ActiveSerializer, responses={200: UserSerializer})
    def put(self, request: Request, pk: UUID) -> Response:
        """Disable or enable the account."""
        user = get_object_or_404(User.objects.people(), pk=pk)
        body = ActiveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.set_active(by=signed_in(request), user=user, active=body.validated_data["active"])
        return Response(UserSerializer(user).data)


class RevokeCertificate(APIView):
    permission_classes = ADMINISTRATOR

    @extend_schema(request=None, responses={200: CertificateSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """End a certificate before its day."""
        certificate = get_object_or_404(ExaminerCertificate, pk=pk)
        services.revoke_certificate(by=signed_in(request), certificate=certificate)
        certificate.refresh_from_db()
        return Response(CertificateSerializer(certificate).data)
