from dataclasses import fields
from math import ceil, floor
from typing import Any, cast

from django import forms

from mugsearch.accounts.models import Agency
from mugsearch.engine import edits
from mugsearch.errors import BadInput
from mugsearch.probes import policy
from mugsearch.probes.filters import SEXES, Filters
from mugsearch.probes.models import Case, Membership, PriorityChange, Probe, ProbeEdit
from mugsearch.probes.services import Purpose

_NARROWING = [field.name for field in fields(Filters)]


def _year(label: str) -> forms.IntegerField:
    year = forms.NumberInput(attrs={"inputmode": "numeric", "placeholder": "Year"})
    return forms.IntegerField(label=label, required=False, widget=year)


def _day(label: str) -> forms.DateField:
    day = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, widget=day)


def _choices(options: dict[str, str]) -> list[tuple[str, str]]:
    return [("", "Choose …"), *options.items()]


class NewProbeForm(forms.Form):
    """Everything RULES 1-3 ask before an image is looked at. The choices are the policy's, read per request."""

    case_number = forms.CharField(max_length=64, help_text="As in your records system, for example 26-004182.")
    offence = forms.ChoiceField()
    legal_basis = forms.ChoiceField()
    source = forms.ChoiceField(
        label="Kind of image",
        help_text="Sketches, look-alikes, generated or retouched faces and social-media pictures are refused.",
    )
    source_detail = forms.CharField(
        label="Where the image came from",
        max_length=300,
        help_text="Which camera, whose photograph, when it was taken, who handed it over.",
    )
    image = forms.FileField(help_text="JPEG, PNG, TIFF, BMP, WebP, HEIC or JPEG 2000, at most 32 MB.")
    attested = forms.BooleanField(error_messages={"required": "Without this attestation there is no search."})

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as received
        rules = policy.current()
        for name, options in (
            ("offence", rules.offences),
            ("legal_basis", rules.legal_bases),
            # The refused ones are offered too: choosing one gets a refusal that says why, instead of a wrong label.
            ("source", {**rules.sources, **rules.refused_sources}),
        ):
            cast(forms.ChoiceField, self.fields[name]).choices = _choices(options)
        self.fields["attested"].label = rules.attestation

    def purpose(self) -> Purpose:
        data = self.cleaned_data
        return Purpose(
            case_number=data["case_number"],
            offence=data["offence"],
            legal_basis=data["legal_basis"],
            source=data["source"],
            source_detail=data["source_detail"],
            attested=data["attested"],
        )


class SearchForm(forms.Form):
    """With which image and face, how many people, and whom the search is narrowed to (probes.filters)."""

    edit = forms.IntegerField(required=False, min_value=1, max_value=ProbeEdit.MOST, widget=forms.HiddenInput)
    face = forms.IntegerField(min_value=0, error_messages={"required": "Pick the face to search with."})
    list_size = forms.IntegerField(
        label="People on the list",
        min_value=2,
        max_value=50,
        help_text="2 to 50. Two examiners look at every one of them.",
    )
    sexes = forms.MultipleChoiceField(
        label="Sex, as recorded",
        choices=[(code, code) for code in SEXES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    born_from = _year("Born in or after")
    born_to = _year("Born in or before")
    booked_from = _day("Booked on or after")
    booked_to = _day("Booked on or before")
    agencies = forms.ModelMultipleChoiceField(
        Agency.objects.order_by("name", "code"),
        label="Booked by",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "Choose among the agencies listed.", "invalid_pk_value": "Choose one."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.fields["agencies"].choices) < 2:  # type: ignore[attr-defined]  # a ModelMultipleChoiceField
            del self.fields["agencies"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for field, sentence in self._filters(cleaned).problems().items():
            self.add_error(field, sentence)
        return cleaned

    def narrowing(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name in _NARROWING]

    def is_narrowed(self) -> bool:
        """Whether there is something to see: what was typed, or what is wrong with it."""
        return any(field.errors or field.value() for field in self.narrowing())

    def search(self) -> dict[str, Any]:
        """What probes.services.search takes."""
        data = self.cleaned_data
        named = {name: data[name] for name in ("edit", "face", "list_size")}
        return {**named, "filters": self._filters(data)}

    @staticmethod
    def _filters(cleaned: dict[str, Any]) -> Filters:
        given = {name: cleaned[name] for name in _NARROWING if name in cleaned}
        return Filters.of({**given, "agencies": [agency.pk for agency in given.get("agencies", ())]})


def _cut(label: str) -> forms.DecimalField:
    say = {"max_value": "Less than the whole has to be cut off."}
    return forms.DecimalField(label=label, initial=0, min_value=0, max_value=99, decimal_places=1, error_messages=say)


def _tone(label: str) -> forms.IntegerField:
    return forms.IntegerField(label=label, initial=0, min_value=edits.TONES[0], max_value=edits.TONES[1])


class EditForm(forms.Form):
    """An edit as people make one: turned first, then cropped, then toned."""

    rotate = forms.DecimalField(
        label="Rotate, degrees", initial=0, min_value=-180, max_value=180, decimal_places=1, help_text="To the right."
    )
    brightness = _tone("Brightness, %")
    contrast = _tone("Contrast, %")
    left = _cut("Cut off left, %")
    right = _cut("Cut off right, %")
    top = _cut("Cut off top, %")
    bottom = _cut("Cut off bottom, %")

    def steps(self, probe: Probe) -> list[dict[str, object]]:
        """As engine.edits reads them, in whole pixels of the turned picture; what is cut into stays."""
        data = self.cleaned_data
        degrees = float(data["rotate"])
        width, height = edits.Rotate.of(degrees).size(probe.width, probe.height)
        x, y = (floor(side * data[cut] / 100) for side, cut in ((width, "left"), (height, "top")))
        right, bottom = (ceil(side * (100 - data[cut]) / 100) for side, cut in ((width, "right"), (height, "bottom")))
        if right <= x or bottom <= y:
            raise BadInput("Cut off less: nothing would be left.")
        tones = [{name: data[name]} for name in ("brightness", "contrast")]
        return [{"rotate": degrees}, {"crop": [x, y, right - x, bottom - y]}, *tones]


class PriorityForm(forms.Form):
    """The page asks for the other priority than the case has."""

    priority = forms.ChoiceField(choices=Case.Priority, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=PriorityChange.REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It stays with the case. Name nobody.",
    )


_REASON: dict[str, Any] = {"max_length": Membership.REASON_LIMIT, "widget": forms.Textarea(attrs={"rows": 2})}


class ShareForm(forms.Form):
    username = forms.CharField(label="User name of the investigator", max_length=64)
    reason = forms.CharField(
        required=False,
        help_text="Needed for somebody of another agency. It stays with the case. Name nobody.",
        **_REASON,
    )


class HandOverForm(forms.Form):
    username = forms.CharField(label="User name of who is responsible from now on", max_length=64)
    reason = forms.CharField(help_text="It stays with the case. Name nobody.", **_REASON)


class AssignForm(HandOverForm):
    number = forms.CharField(label="Case number", max_length=64)
    field_order = ("number", "username", "reason")
