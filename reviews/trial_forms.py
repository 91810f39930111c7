from typing import Any

from django import forms

from mugsearch.gallery.forms import SeveralFilesField
from mugsearch.trials.models import Subject, Trial
from reviews import trials


class PrepareForm(forms.Form):
    """How many trials of each kind, one field a kind."""

    pairs = forms.IntegerField(
        label="For how many pairs of examiners",
        min_value=1,
        max_value=trials.MOST_PAIRS,
        initial=1,
        help_text="Each pair gets the same trial; a third examiner where they disagree.",
    )
    days = forms.IntegerField(
        label="Spread over days",
        min_value=0,
        max_value=trials.MOST_DAYS,
        initial=14,
        help_text="They come into the queue one by one. All at once would tell what they are.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = {
            kind.value: forms.IntegerField(label=kind.label, min_value=0, max_value=trials.MOST_AT_ONCE, initial=0)
            for kind in Trial.Kind
        }
        self.fields = {**kinds, **self.fields}

    def counts(self) -> dict[str, int]:
        return {kind.value: self.cleaned_data[kind.value] for kind in Trial.Kind}


class MaterialForm(forms.Form):
    code = forms.CharField(
        max_length=64, help_text="Letters, digits, dots, - and _. Nobody's name. A known one gets more photographs."
    )
    consent = forms.ChoiceField(choices=Subject.Consent.choices, widget=forms.RadioSelect)
    reference = forms.CharField(
        max_length=Subject.REFERENCE_LIMIT, help_text="Where the consent is kept, or what made the synthetic face."
    )
    photos = SeveralFilesField(
        label="Photographs",
        help_text="Two or more of one person make mated trials possible. Take them as you take booking photographs: "
        "others would stand out.",
    )
