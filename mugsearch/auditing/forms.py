from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.audit.models import Outcome
from mugsearch.audit.verify import Head
from mugsearch.auditing import queries
from mugsearch.auditing.models import SignOff
from mugsearch.errors import BadInput

SYSTEM = "system"


class MomentField(forms.DateTimeField):
    """By the installation's clock, which is what people type."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class FilterForm(forms.Form):
    actor = forms.CharField(label="Person acting", max_length=120, required=False)
    case = forms.CharField(label="Case number", max_length=64, required=False)
    act = forms.ChoiceField(label="Act", required=False)
    outcome = forms.ChoiceField(choices=[("", "Any"), *Outcome.choices], required=False)
    booking = forms.CharField(label="Booking number", max_length=64, required=False)
    object = forms.CharField(
        label="Object id",
        required=False,
        validators=[RegexValidator(r"^[0-9a-fA-F-]{1,64}\Z", "An id holds only digits, the letters a to f, and -.")],
    )
    kind = forms.CharField(
        label="Kind of object",
        required=False,
        validators=[RegexValidator(r"^[a-z]+\.[a-z]+\Z", "A kind is two words with a dot, such as probes.search.")],
    )
    since = MomentField(required=False)
    before = MomentField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        zone = timezone.get_current_timezone_name()
        self.fields["since"].label, self.fields["before"].label = f"From ({zone})", f"Before ({zone})"
        self.fields["actor"].widget.attrs["placeholder"] = "Name or “system”"
        families = [(f"{family}.", f"{family}: all") for family in queries.families()]
        acts = [(act, act) for act in queries.acts()]
        self.fields["act"].choices = [("", "Any"), *sorted(families + acts)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, before = cleaned.get("since"), cleaned.get("before")
        if since and before and since >= before:
            self.add_error("before", "This has to be later than the time in From.")
        if any("\x00" in str(value) for value in cleaned.values()):  # PostgreSQL can't be asked for that
            raise forms.ValidationError("There is a sign in this that can't be searched for.")
        if cleaned.get("kind") and not (cleaned.get("object") or self.errors.get("object")):
            self.add_error("kind", "Give the object's id, too.")
        if cleaned.get("booking") and cleaned.get("object"):
            self.add_error("object", "Ask for a booking number or for an object's id, not for both.")
        return cleaned

    def filters(self, by: User) -> queries.Filters:
        asked = self.cleaned_data
        who, act = asked["actor"].strip(), asked["act"]
        objects: tuple[str, ...] | None = (asked["object"].lower(),) if asked["object"] else None
        booking = None
        if asked["booking"]:
            booking = queries.booking_numbered(asked["booking"])
            objects = queries.lookups_of(booking.pk) if booking else ()
        return queries.Filters(
            actors=queries.people_named(who) if who and who.lower() != SYSTEM else None,
            by_system=who.lower() == SYSTEM,
            cases=queries.cases_numbered(asked["case"]) if asked["case"] else None,
            acts=queries.of_family(act[:-1]) if act.endswith(".") else (act,) if act else None,
            outcome=asked["outcome"],
            objects=objects,
            booking=booking.pk if booking else None,
            kind=asked["kind"],
            since=asked["since"],
            before=asked["before"],
            upto=queries.last_number(),  # first: what is recorded after it may belong to what is hidden
            hidden=queries.hidden_from(by),
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


class SignOffForm(forms.Form):
    note = forms.CharField(label="Note", max_length=SignOff.NOTE_LIMIT, widget=forms.Textarea(attrs={"rows": 4}))
    own_reason = forms.CharField(max_length=1000, required=False)


class SaveForm(forms.Form):
    name = forms.CharField(label="Name", max_length=100)
    days = forms.IntegerField(label="Days back", min_value=1, max_value=366, initial=7)
