import datetime
from typing import Any

from django import forms
from django.utils import timezone

from mugsearch.accounts.models import Agency, Role


def in_a_year() -> datetime.date:
    return timezone.localdate() + datetime.timedelta(days=365)


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


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(choices=Role, widget=forms.CheckboxSelectMultiple, required=False)


class CertificateForm(forms.Form):
    programme = forms.CharField(max_length=200, help_text="The training, as its certificate names it.")
    issued_by = forms.CharField(max_length=200, help_text="Who trained and certified this person.")
    hours = forms.IntegerField(min_value=1, max_value=10_000, help_text="Hours of training.")
    issued_on = forms.DateField(initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}))
    expires_on = forms.DateField(initial=in_a_year, widget=forms.DateInput(attrs={"type": "date"}))
