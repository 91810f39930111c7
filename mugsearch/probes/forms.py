from typing import cast

from django import forms

from mugsearch.probes import policy
from mugsearch.probes.services import Purpose


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
    face = forms.IntegerField(min_value=0)
    list_size = forms.IntegerField(min_value=2, max_value=50, required=False)


class ShareForm(forms.Form):
    username = forms.CharField(label="User name of the investigator", max_length=64)
