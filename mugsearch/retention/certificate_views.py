"""A certificate to read, to print and to hand out: for records staff and auditors of the agency, nobody else."""

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from mugsearch.accounts.access import anybody, needs, signed_in
from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.retention import certificates, proofs, verify_certificate
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import signing

READERS = (Role.RECORDS, Role.AUDITOR)


@needs(*READERS)
@require_GET
def certificate(request: HttpRequest, order_id: UUID) -> HttpResponse:
    user = signed_in(request)
    order = found(user, order_id)
    made = certificates.of(order)
    audit.record(f"{order.what}.certificate-viewed", by=user, obj=order)
    context = {
        "order": order,
        "may_see_order": user.has_role(Role.RECORDS),
        "said": _with_times(certificates.read(made)),
        "sha256": certificates.digest(made),
        "signature": bytes(made.signature).hex(),
        "fingerprint": signing.fingerprint(bytes(made.public_key)),
        "key_in_use": bytes(made.public_key) == signing.public_key(),
    }
    return render(request, "retention/certificate.html", context)


@needs(*READERS)
@require_GET
def as_json(request: HttpRequest, order_id: UUID) -> HttpResponse:
    return handed_out(signed_in(request), order_id, "json")


@needs(*READERS)
@require_GET
def as_pdf(request: HttpRequest, order_id: UUID) -> HttpResponse:
    return handed_out(signed_in(request), order_id, "pdf")


@anybody
@require_GET
def verifier(request: HttpRequest) -> HttpResponse:
    """The program that checks certificates; it says nothing about anybody."""
    program = Path(verify_certificate.__file__).read_bytes()
    return _attachment(program, "text/x-python; charset=utf-8", "verify_certificate.py")


def handed_out(user: User, order_id: UUID, form: str) -> HttpResponse:
    """The certificate as a file, `form` "json" or "pdf". Each time is on the record, with the digest of the file."""
    order = found(user, order_id)
    made = certificates.of(order)
    if form == "json":
        content = certificates.signed(made)
    else:
        from mugsearch.retention import certificate_pdf  # loads fonts and much else, for few requests

        content = certificate_pdf.printed(made)
    audit.record(
        f"{order.what}.certificate-downloaded", by=user, obj=order, form=form, sha256=certificates.digest(made)
    )
    return _attachment(content, f"application/{form}", f"certificate-{order.pk}.{form}")


def found(user: User, order_id: UUID) -> ExpungementOrder:
    order: ExpungementOrder = get_object_or_404(certificates.readable_by(user), pk=order_id)
    return order


def _with_times(said: dict[str, Any]) -> dict[str, Any]:
    """What templates format as times and days is one."""
    for name in ("completed_at", "certified_at"):
        said[name] = datetime.fromisoformat(said[name])
    for step in said["steps"]:
        step["at"] = datetime.fromisoformat(step["at"])
        step["numbers"] = proofs.in_words(step)
    return said


def _attachment(content: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type=content_type, headers=headers)
