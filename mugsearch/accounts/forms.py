import json
from typing import Any

from django import forms
from django.conf import settings

from mugsearch.accounts.models import Agency, Role


class NewUserForm(forms.Form):
    username = forms.SlugField(label="User name", max_length=64, help_text="Letters, digits, - and _.")
    full_name = forms.CharField(max_length=120)
    agency = forms.ModelChoiceField(Agency.objects.all())
    roles = forms.MultipleChoiceField(choices=Role, widget=forms.CheckboxSelectMultiple)
    password = forms.CharField(
        label="First password",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agencies = list(Agency.objects.all()[:2])
        if len(agencies) == 1:
            self.fields["agency"].initial = agencies[0]


class NewTokenForm(forms.Form):
    name = forms.CharField(max_length=60, help_text="The program that gets it.")
    scopes = forms.MultipleChoiceField(label="It may", widget=forms.CheckboxSelectMultiple)
    hours = forms.TypedChoiceField(label="It lasts", coerce=int)

    def __init__(self, *args: Any, may: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [(scope, f"{text} ({scope})") for scope, text in may.items()]  # type: ignore[attr-defined]  # a field with choices
        most = settings.MUGSEARCH_TOKEN_MOST_DAYS
        lasting = [(12, "12 hours"), *((24 * days, f"{days} days") for days in (7, 30, 90, 365) if days <= most)]
        self.fields["hours"].choices = lasting  # type: ignore[attr-defined]  # a field with choices


class PasswordForm(forms.Form):
    current = forms.CharField(
        label="Password you have",
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    password = forms.CharField(
        label="New password",
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters. A sentence is easy to remember; it needs no digits and no signs.",
    )
    again = forms.CharField(
        label="Once more",
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if self.cleaned_data.get("password") not in (None, again):
            raise forms.ValidationError("The two are not the same.")
        return again


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(choices=Role, widget=forms.CheckboxSelectMultiple, required=False)


class SignInForm(forms.Form):
    username = forms.CharField(
        label="User name", max_length=64, widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = forms.CharField(
        max_length=1000, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )


class CodeForm(forms.Form):
    """A code somebody types, or what a security key has answered."""

    code = forms.CharField(
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )
    key = forms.CharField(max_length=20_000, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = not self.data.get("key")

    def clean_key(self) -> dict[str, Any] | None:
        if not self.cleaned_data["key"]:
            return None
        try:
            answer = json.loads(self.cleaned_data["key"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("The security key's answer could not be used. Try it once more.") from error
        if not isinstance(answer, dict):
            raise forms.ValidationError("The security key's answer could not be used. Try it once more.")
        return answer

    def told(self) -> str | dict[str, Any]:
        key: dict[str, Any] | None = self.cleaned_data["key"]
        return key or str(self.cleaned_data["code"])


class ConfirmForm(CodeForm):
    password = forms.CharField(
        max_length=1000,
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = False

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if not self.errors and not any(told.get(name) for name in ("password", "code", "key")):
            self.add_error("password", "Type the password or a code.")
        return told
