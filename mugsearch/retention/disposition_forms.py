from django import forms
from django.utils import timezone

from mugsearch.probes import policy
from mugsearch.retention import dispositions

OFF = {"autocomplete": "off"}


class DispositionForm(forms.Form):
    booking_number = forms.CharField(
        max_length=dispositions.LONGEST["booking_number"],
        widget=forms.TextInput(attrs=OFF),
        help_text="In any spelling.",
    )
    disposition = forms.ChoiceField()
    disposed_on = forms.DateField(label="Day of the disposition", widget=forms.DateInput(attrs={"type": "date"}))
    court = forms.CharField(max_length=dispositions.LONGEST["court"], required=False)
    order_number = forms.CharField(
        max_length=dispositions.LONGEST["order_number"], required=False, widget=forms.TextInput(attrs=OFF)
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed through as received
        choices = policy.current().retention.dispositions
        self.fields["disposition"] = forms.ChoiceField(choices=[("", "Choose"), *choices.items()])
        self.fields["disposed_on"].widget.attrs["max"] = timezone.localdate().isoformat()


class FileForm(forms.Form):
    file = forms.FileField(label="CSV file")


class MatchForm(forms.Form):
    booking_number = forms.CharField(
        max_length=64, help_text="Of the booking that is meant.", widget=forms.TextInput(attrs=OFF)
    )


class DismissForm(forms.Form):
    reason = forms.CharField(
        max_length=dispositions.REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="It is kept with the disposition.",
    )
