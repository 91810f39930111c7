from django import forms


class CaseNumberForm(forms.Form):
    number = forms.CharField(label="Case number", max_length=64)
