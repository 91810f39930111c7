"""The administrator's page to record an examiner's certificate."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from mugsearch.accounts.access import needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.scopes import Sensitive
from mugsearch.errors import BadInput
from reviews import certificates
from reviews.forms import CertificateForm


@needs(Role.ADMINISTRATOR, sensitive=Sensitive.ACCOUNTS)
@require_http_methods(["GET", "POST"])
def record_certificate(request: HttpRequest, user_id: UUID) -> HttpResponse:
    person = get_object_or_404(User.objects.people(), pk=user_id)
    form = CertificateForm(request.POST or None)
    if form.is_valid():
        try:
            certificates.record_certificate(by=signed_in(request), examiner=person, **form.cleaned_data)
        except BadInput as error:
            form.add_error("expires_on", error.message)
        else:
            messages.success(request, "The certificate is recorded.")
            return redirect("user", person.pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "reviews/record_certificate.html", {"person": person, "form": form}, status=status)
