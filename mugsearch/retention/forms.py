from django import forms


class LookUpForm(forms.Form):
    booking_number = forms.CharField(
        max_length=64,
        help_text="As on the order. You then see what would be destroyed; nothing is done yet.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )


class RequestForm(forms.Form):
    order_number = forms.CharField(max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Order number and reason are kept for good: leave out the person's name and numbers.",
    )
