import datetime
import json
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from mugsearch.probes import policy
from reviews.evidence import ATTESTATION
from reviews.models import Evidence, Finding, LeadOutcome
from reviews.worksheet import COMPONENTS, NOTES_LIMIT, SAID, Worksheet

REMAINING = "remaining"  # the position that means all candidates without a finding


def refusal(form: forms.Form) -> str:
    """The first thing wrong with it."""
    return str(next(iter(error for errors in form.errors.values() for error in errors), ""))


class CaseSearchForm(forms.Form):
    number = forms.CharField(label="Case number", max_length=64, required=False)


class LinesField(forms.CharField):
    """Text of several lines. Forms send CRLF without script, and LF with it: the same text is to be the same."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ReadField(forms.CharField):
    """JSON from the comparison screen; None where nothing was sent."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("What the page sent can't be read. Load it again.") from error


class SavedAtField(ReadField):
    """When findings were saved that the page knows of: {position: saved_at}."""

    def clean(self, value: Any) -> dict[int, datetime.datetime]:
        read = super().clean(value)
        try:
            return {int(position): _moment(at) for position, at in (read or {}).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise forms.ValidationError("Load the page again: it doesn't say what it shows.") from error


def _moment(text: str) -> datetime.datetime:
    at = parse_datetime(text)
    if at is None or is_naive(at):
        raise ValueError(f"not a moment: {text}")
    return at


class ConcludeForm(forms.Form):
    seen = SavedAtField(required=False)


class FindingForm(forms.Form):
    """What the comparison screen sends: one finding, a draft without a conclusion, or `position=remaining` with the
    conclusion that excludes. The worksheet comes as three fields a component, what was drawn as JSON.

    `saved_at` is when that was saved which is changed by it; `drafts` is of the drafts that are excluded."""

    position = forms.CharField(max_length=9)
    conclusion = forms.ChoiceField(choices=Finding.Conclusion.choices, required=False)
    notes = LinesField(max_length=Finding.NOTES_LIMIT)
    saved_at = forms.DateTimeField(required=False)
    drafts = SavedAtField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for component, label in COMPONENTS.items():
            self.fields[component] = forms.ChoiceField(choices=SAID.items(), label=label, required=False)
            self.fields[f"{component}_notes"] = LinesField(max_length=NOTES_LIMIT)
            self.fields[f"{component}_drawn"] = ReadField(max_length=2000, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        position = cleaned.get("position", "")
        if position == REMAINING:
            if cleaned.get("conclusion") != Finding.EXCLUDED:
                raise forms.ValidationError("All remaining candidates can only be excluded.")
        elif not (position.isascii() and position.isdigit()):
            raise forms.ValidationError("Say which candidate is meant by its position.")
        return cleaned

    def worksheet(self) -> Worksheet:
        said = self.cleaned_data
        return {
            one: {"said": said[one], "notes": said[f"{one}_notes"], "drawn": said[f"{one}_drawn"]} for one in COMPONENTS
        }


class EvidenceForm(forms.Form):
    """The kinds are the policy's, read per request."""

    kind = forms.ChoiceField(label="Kind of evidence")
    source = forms.CharField(
        label="Where it comes from and what it says",
        max_length=Evidence.SOURCE_LIMIT,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    obtained_on = forms.DateField(
        label="Obtained on", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    attested = forms.BooleanField(label=ATTESTATION)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [("", "Choose …"), *policy.current().evidence.items()]  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["obtained_on"].widget.attrs["max"] = timezone.localdate().isoformat()


class OutcomeForm(forms.Form):
    outcome = forms.ChoiceField(
        label="What became of it", choices=LeadOutcome.Outcome.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label="Note", max_length=LeadOutcome.NOTE_LIMIT, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class CertificateForm(forms.Form):
    programme = forms.CharField(max_length=200, help_text="The training, as its certificate names it.")
    issued_by = forms.CharField(max_length=200, help_text="Who trained and certified this person.")
    hours = forms.IntegerField(min_value=1, max_value=10_000, help_text="Hours of training.")
    issued_on = forms.DateField(
        initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    expires_on = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        months = policy.current().certificate_months
        self.fields["expires_on"].help_text = (
            f"By the policy it counts for {months} month{'s' if months > 1 else ''} from the day it was issued, "
            "whatever it says itself. Left empty, it counts for so long."
        )
