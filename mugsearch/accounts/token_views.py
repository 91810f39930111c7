"""One's own tokens and password."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from mugsearch.accounts import passwords, scopes, signing, sittings, tokens
from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.forms import NewTokenForm, PasswordForm
from mugsearch.accounts.scopes import Sensitive
from mugsearch.errors import BadInput


@needs(sensitive=Sensitive.ACCOUNTS)
@require_http_methods(["GET", "POST"])
def own_tokens(request: HttpRequest) -> HttpResponse:
    """A new one is shown in the answer to its POST, and never again."""
    me = signed_in(request)
    form, secret, status = NewTokenForm(request.POST or None, may=scopes.open_to(me.roles)), "", 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                _, secret = tokens.make(by=me, **form.cleaned_data)
            except BadInput as error:
                form.add_error(None, error.message)
            else:
                form, status = NewTokenForm(may=scopes.open_to(me.roles)), 200
    mine = tokens.living().filter(user=me)
    return render(request, "accounts/tokens.html", {"form": form, "secret": secret, "tokens": mine}, status=status)


@needs()
@require_POST
def end_token(request: HttpRequest, token_id: UUID) -> HttpResponse:
    me = signed_in(request)
    token = get_object_or_404(tokens.visible_to(me), id=token_id)
    tokens.end(by=me, token=token)
    messages.success(request, f"The token “{token.name}” is ended.")
    return redirect("tokens") if token.user_id == me.pk else redirect("user", token.user_id)


@needs(sensitive=Sensitive.ACCOUNTS)
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    # With the old one, also of whoever has just confirmed: they may sit at somebody's open session (ASVS 5, 6.2.3).
    me, status = signed_in(request), 200
    here = sittings.of(request)
    form = PasswordForm(request.POST or None)
    if request.method == "POST":
        status = 422
        if form.is_valid() and here:
            try:
                if not signing.confirm(here, password=form.cleaned_data["current"]):
                    raise signing.WrongSignIn
                passwords.change(by=me, password=form.cleaned_data["password"], here=here)
            except signing.WrongSignIn as error:
                form.add_error("current", error.message)
            except BadInput as error:
                form.add_error("password", error.message)
            else:
                sittings.keep_after_new_password(request, me)
                messages.success(request, "Your password is changed. Your other sessions and your tokens are ended.")
                return redirect("home")
    return render(request, "accounts/password.html", {"form": form}, status=status)
