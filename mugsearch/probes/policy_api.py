"""The policy over REST: what is in force, what was, what a change would do, and the change."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mugsearch.accounts.access import role_permission, signed_in
from mugsearch.accounts.models import Role
from mugsearch.accounts.scopes import Sensitive
from mugsearch.audit import services as audit
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import PolicyVersion
from mugsearch.probes.policy_views import READERS


def _labels() -> serializers.DictField:
    return serializers.DictField(child=serializers.CharField(), help_text="Label by code, in the order of the file.")


class PolicySerializer(serializers.Serializer[policy.Policy]):
    digest = serializers.CharField(help_text="SHA-256 of the file: what a change is made `instead_of`.")
    examiners = serializers.IntegerField()
    list_size = serializers.IntegerField()
    positive_rating = serializers.IntegerField()
    claim_hours = serializers.IntegerField()
    lead_days = serializers.IntegerField()
    lineup_fillers = serializers.IntegerField()
    certificate_months = serializers.IntegerField()
    trials_judged = serializers.IntegerField()
    trial_misses = serializers.IntegerField()
    trial_false_leads = serializers.IntegerField()
    offences = _labels()
    legal_bases = _labels()
    sources = _labels()
    refused_sources = _labels()
    evidence = _labels()
    attestation = serializers.CharField()


class PolicyVersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    by = serializers.CharField(
        source="by.full_name", default=None, allow_null=True, read_only=True, help_text="Null: installed."
    )

    class Meta:
        model = PolicyVersion
        fields = ("number", "digest", "reason", "by", "at")


class PolicyFileSerializer(PolicyVersionSerializer):
    class Meta(PolicyVersionSerializer.Meta):
        fields = (*PolicyVersionSerializer.Meta.fields, "text")  # type: ignore[assignment]  # one more


class PolicyTextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(trim_whitespace=False, help_text="The policy file, every character of it.")


class EffectSerializer(serializers.Serializer[policy_changes.Effect]):
    what = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    means = serializers.CharField(help_text="For whom.")


class EffectsSerializer(serializers.Serializer[Any]):
    digest = serializers.CharField(help_text="Of the file that was sent.")
    instead_of = serializers.CharField(help_text="Of the policy in force, which these are the effects on.")
    effects = EffectSerializer(many=True, help_text="Empty: the file differs in its comments or its order only.")


class PolicyChangeSerializer(PolicyTextSerializer):
    reason = serializers.CharField(max_length=policy_changes.REASON_LIMIT)
    instead_of = serializers.CharField(max_length=64, help_text="The digest that the preview answered.")


class CurrentPolicy(APIView):
    def get_permissions(self) -> Any:
        if self.request.method == "PUT":
            return [role_permission(Role.ADMINISTRATOR, sensitive=Sensitive.POLICY)()]
        return [role_permission(*READERS)()]

    @extend_schema(responses=PolicySerializer)
    def get(self, request: Request) -> Response:
        """The policy in force."""
        return Response(PolicySerializer(policy.current()).data)

    @extend_schema(request=PolicyChangeSerializer, responses=PolicyVersionSerializer)
    def put(self, request: Request) -> Response:
        """Put another policy in force; 409 when it isn't `instead_of` any more, or is in force already."""
        body = PolicyChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        version = policy_changes.change(
            by=signed_in(request), text=said["text"].encode(), reason=said["reason"], instead_of=said["instead_of"]
        )
        return Response(PolicyVersionSerializer(version).data)


class PolicyPreview(APIView):
    permission_classes = (role_permission(Role.ADMINISTRATOR),)

    @extend_schema(request=PolicyTextSerializer, responses=EffectsSerializer)
    def post(self, request: Request) -> Response:
        """What a policy file would change. Nothing is stored."""
        body = PolicyTextSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        now, then = policy.current(), policy_changes.proposed(body.validated_data["text"].encode())
        told = {"digest": then.digest, "instead_of": now.digest, "effects": policy_changes.effects(now, then)}
        return Response(EffectsSerializer(told).data)


class PolicyVersions(generics.ListAPIView[PolicyVersion]):
    """What was in force, the newest first."""

    permission_classes = (role_permission(*READERS),)
    serializer_class = PolicyVersionSerializer
    queryset = PolicyVersion.objects.select_related("by")


class OnePolicyVersion(APIView):
    permission_classes = (role_permission(*READERS),)

    @extend_schema(responses=PolicyFileSerializer)
    def get(self, request: Request, number: int) -> Response:
        """A policy that was in force, with its file."""
        version = get_object_or_404(PolicyVersion.objects.select_related("by"), pk=number)
        audit.record("policy.downloaded", by=signed_in(request), obj=version)
        return Response(PolicyFileSerializer(version).data)
