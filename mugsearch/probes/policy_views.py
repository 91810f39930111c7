"""The administrator's pages of the policy: what is in force, what a change would do, what was in force before."""

import base64
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from mugsearch.accounts import fresh
from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, MugsearchError
from mugsearch.probes import policy, policy_changes
from mugsearch.probes.models import PolicyVersion

READERS = (Role.ADMINISTRATOR, Role.AUDITOR, Role.SUPERVISOR)


class ProposalForm(forms.Form):
    file = forms.FileField(label="Policy file", help_text="Download the one in force, change it, and choose it here.")
    reason = forms.CharField(
        label="Reason",
        max_length=policy_changes.REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It goes into the record. Name nobody.",
    )


class DecisionForm(forms.Form):
    """What the page of the effects sends back: the very bytes whose effects were shown."""

    text = forms.CharField(widget=forms.HiddenInput)
    instead_of = forms.CharField(widget=forms.HiddenInput, max_length=64)
    reason = forms.CharField(widget=forms.HiddenInput, max_length=policy_changes.REASON_LIMIT)


@needs(*READERS)
@require_GET
def in_force(request: HttpRequest) -> HttpResponse:
    return _page(request, ProposalForm())


@needs(Role.ADMINISTRATOR)
@require_http_methods(["POST"])
def propose(request: HttpRequest) -> HttpResponse:
    """Shows what would change. Nothing is stored."""
    form = ProposalForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    text = form.cleaned_data["file"].read(policy_changes.LARGEST + 1)
    now = policy.current()
    try:
        fresh.require(request)
        then = policy_changes.proposed(text)
        if then.digest == now.digest:
            raise BadInput("This file is in force already, byte for byte.")
    except fresh.ConfirmFirst as error:
        form.add_error(None, fresh.form_waits())
        return _page(request, form, status=error.status)
    except MugsearchError as error:
        form.add_error("file", error.message)
        return _page(request, form, status=error.status)
    return _effects(request, text, form.cleaned_data["reason"], now, then)


def _effects(
    request: HttpRequest, text: bytes, reason: str, now: policy.Policy, then: policy.Policy, *, waits: bool = False
) -> HttpResponse:
    """`waits`: it was decided too late, so that it has to be confirmed first; nothing chosen is lost."""
    kept = {"text": base64.b64encode(text).decode(), "instead_of": now.digest, "reason": reason}
    context = {
        "effects": policy_changes.effects(now, then),
        "now": now,
        "then": then,
        "reason": reason,
        "form": DecisionForm(initial=kept),
        "waits": fresh.form_waits() if waits else "",
    }
    return render(request, "probes/policy_effects.html", context, status=403 if waits else 200)


@needs(Role.ADMINISTRATOR)
@require_http_methods(["POST"])
def change(request: HttpRequest) -> HttpResponse:
    form = DecisionForm(request.POST)
    try:
        if not form.is_valid():
            raise BadInput("Choose the policy file and look at its effects first.")
        told = form.cleaned_data
        text = base64.b64decode(told["text"], validate=True)
    except ValueError as error:  # binascii.Error is one, and what isn't ASCII another
        raise BadInput("Choose the policy file and look at its effects first.") from error
    try:
        fresh.require(request)
    except fresh.ConfirmFirst:
        return _effects(request, text, told["reason"], policy.current(), policy_changes.proposed(text), waits=True)
    policy_changes.change(by=signed_in(request), text=text, reason=told["reason"], instead_of=told["instead_of"])
    messages.success(request, "The policy is in force.")
    return redirect("policy")


@needs(*READERS)
@require_GET
def download(request: HttpRequest, number: int) -> HttpResponse:
    version = get_object_or_404(PolicyVersion, pk=number)
    audit.record("policy.downloaded", by=signed_in(request), obj=version)
    response = HttpResponse(version.text.encode(), content_type="application/toml")
    response["Content-Disposition"] = f'attachment; filename="policy-{version.number}.toml"'
    return response


def _page(request: HttpRequest, form: ProposalForm, status: int = 200) -> HttpResponse:
    now = policy.current()
    lists: list[tuple[str, dict[str, str]]] = [
        ("Offences", now.offences),
        ("Legal bases", now.legal_bases),
        ("Sources", now.sources),
        ("Refused sources", now.refused_sources),
        ("Kinds of evidence", now.evidence),
    ]
    context: dict[str, Any] = {
        "policy": now,
        "lists": lists,
        "versions": PolicyVersion.objects.select_related("by"),
        "form": form,
        "may_change": signed_in(request).has_role(Role.ADMINISTRATOR),
    }
    return render(request, "probes/policy.html", context, status=status)
