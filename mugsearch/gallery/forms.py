from typing import Any, ClassVar

from django import forms

from mugsearch.gallery import manifest, staging
from mugsearch.gallery.models import Booking, ImportRun, Photo
from mugsearch.gallery.sources import MOST_BYTES

SEXES = [("", "Not recorded"), ("F", "F"), ("M", "M"), ("X", "X"), ("U", "U (unknown)")]


class FileInput(forms.FileInput):
    """Named like its parent, because partials/field.html goes by the name of the widget."""

    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    widget = FileInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, (list, tuple)) else [data]
        return [super(SeveralFilesField, self).clean(one, initial) for one in given or [None]]


class NewImportForm(forms.Form):
    manifest = forms.FileField(
        help_text="A CSV file whose first line names the columns: photo, person_id and booking_number are needed."
    )
    photos = SeveralFilesField(
        help_text=f"One ZIP of at most {staging.MOST_ZIP_BYTES >> 30} GB, or up to {staging.MOST_FILES:,} photo files "
        f"of at most {MOST_BYTES >> 20} MB each.",
    )
    several = forms.ChoiceField(
        label="If a photo shows several faces",
        choices=[
            (ImportRun.Several.ONLY, "Let a clerk decide"),
            (ImportRun.Several.LARGEST, "Take the largest face"),
            (ImportRun.Several.CENTRE, "Take the face nearest the centre"),
        ],
        initial=ImportRun.Several.ONLY,
        widget=forms.RadioSelect,
    )


class FindPeopleForm(forms.Form):
    q = forms.CharField(label="Name, person id or booking number", required=False, max_length=200)
    born = forms.DateField(
        label="Date of birth",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"invalid": "This is not a date of birth; write it as YYYY-MM-DD."},
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("born") and not cleaned.get("q"):
            self.add_error("q", "Enter the name that goes with the date of birth.")
        return cleaned


class PersonForm(forms.Form):
    family_name = forms.CharField(required=False, max_length=manifest.LONGEST["family_name"])
    given_names = forms.CharField(required=False, max_length=manifest.LONGEST["given_names"])
    date_of_birth = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    sex = forms.ChoiceField(choices=SEXES, required=False, help_text="As recorded at booking.")


class BookingForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes no argument at run time
    class Meta:
        model = Booking
        fields = ("booked_on", "height_in", "weight_lb", "charge", "disposition")
        widgets: ClassVar = {"booked_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}


class PickForm(forms.Form):
    face = forms.IntegerField(min_value=0, max_value=32767)


class RefuseForm(forms.Form):
    reason = forms.ChoiceField(
        choices=[("", "Choose …"), *[choice for choice in Photo.Refusal.choices if choice[0]]],
        label="Why is it refused?",
    )
