from datetime import UTC
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Outcome
from mugsearch.audit.verify import Head
from mugsearch.auditing import queries
from mugsearch.errors import BadInput


class UtcField(forms.DateTimeField):
    """The record is kept in UTC, so it is asked in UTC, wherever the agency is."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> Any:
        with timezone.override(UTC):
            return super().to_python(value)


class FilterForm(forms.Form):
    actor = forms.ModelChoiceField(
        User.objects.order_by("full_name", "username"), label="Person acting", required=False, empty_label="Anybody"
    )
    case = forms.CharField(label="Case number", max_length=64, required=False)
    act = forms.ChoiceField(label="Act", required=False)
    outcome = forms.ChoiceField(choices=[("", "Any"), *Outcome.choices], required=False)
    object = forms.CharField(
        label="Object id",
        required=False,
        validators=[RegexValidator(r"^[0-9a-fA-F-]{1,64}$", "An id holds only digits, the letters a to f, and -.")],
    )
    since = UtcField(label="From (UTC)", required=False)
    before = UtcField(label="Before (UTC)", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        self.fields["act"].choices = [("", "Any"), *((act, act) for act in queries.acts())]  # type: ignore[attr-defined]
        self.fields["actor"].label_from_instance = (  # type: ignore[attr-defined]
            lambda user: f"{user.full_name} ({user.username})"
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, before = cleaned.get("since"), cleaned.get("before")
        if since and before and since >= before:
            self.add_error("before", "This has to be later than the time in From.")
        cleaned["cases"] = queries.cases_numbered(cleaned["case"]) if cleaned.get("case") else None
        return cleaned

    def filters(self) -> queries.Filters:
        asked = self.cleaned_data
        return queries.Filters(
            actor=asked["actor"].pk if asked["actor"] else None,
            cases=asked["cases"],
            act=asked["act"],
            outcome=asked["outcome"],
            obj=asked["object"].lower(),
            since=asked["since"],
            before=asked["before"],
        )


class AgainstForm(forms.Form):
    against = forms.CharField(
        label="A head kept outside",
        max_length=90,
        required=False,
        help_text="NUMBER:DIGEST as an earlier verification gave it. It shows a record whose end was cut off, "
        "or that was written anew.",
    )

    def clean_against(self) -> Head | None:
        typed = self.cleaned_data["against"]
        try:
            return Head.parse(typed) if typed else None
        except BadInput as error:
            raise forms.ValidationError(error.message) from error
