from typing import Any

from django import forms

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


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(choices=Role, widget=forms.CheckboxSelectMultiple, required=False)
