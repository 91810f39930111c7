from django import forms


class LookUpForm(forms.Form):
    booking_number = forms.CharField(
        max_length=64,
        help_text="As on the order. You then see what it would do; nothing is done yet.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


class RequestForm(forms.Form):
    order_number = forms.CharField(max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Order number and reason are kept for good: leave out the person's name and numbers.",
    )


class HoldForm(forms.Form):
    reference = forms.CharField(
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="The number of the letter or order that asks to keep it.",
    )
    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 3}))
    last_day = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The hold ends when this day does. Empty: it lasts until somebody lifts it.",
        error_messages={"invalid": "This is not a day; write it as YYYY-MM-DD."},
    )
