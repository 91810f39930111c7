"""The certificate of a complete order: made and signed once, in the transaction that makes the order complete.

It says what was done, when, what was checked and how, what stays, and what still ages out and by which day. It names
nobody: not the person or the booking, nor the clerks, who are known by the audit. The reason is left out, too: a clerk
typed it, and that it doesn't name the person of the booking can be checked, but not that it names nobody.

What is handed out is the file of `signed`: between two fixed lines exactly the bytes that were signed, so nobody has to
write JSON in the same way again to check it. Every reader of JSON reads it, too. See docs/records.md.
"""

import json
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mugsearch.accounts.models import Role, User
from mugsearch.audit import services as audit
from mugsearch.errors import WrongState
from mugsearch.retention import ageing, proofs, words
from mugsearch.retention.certificate_models import Certificate
from mugsearch.retention.models import ExpungementOrder, ExpungementOrderQuerySet
from mugsearch.retention.verify_certificate import FORMAT, framed
from mugsearch.vault import signing

Kind, State = ExpungementOrder.Kind, ExpungementOrder.State


def readable_by(user: User) -> ExpungementOrderQuerySet:
    """The orders whose certificates this person may read: records staff and auditors those of their agency; auditors
    of none, who oversee several, all."""
    found: ExpungementOrderQuerySet = ExpungementOrder.objects.select_related("agency")
    if not user.has_role(Role.RECORDS, Role.AUDITOR):
        return found.none()
    return found if user.agency_id is None else found.filter(agency=user.agency_id)


def of(order: ExpungementOrder) -> Certificate:
    """One that was completed by a version without signed certificates is certified now, and says so."""
    if order.state != State.COMPLETE:
        raise WrongState(f"There is no certificate yet: this {order.what} is not complete.")
    if found := Certificate.objects.filter(pk=order.pk).first():
        return found
    with transaction.atomic():
        waited_for = ExpungementOrder.objects.select_for_update(of=("self",)).get(pk=order.pk)
        return Certificate.objects.filter(pk=order.pk).first() or make(waited_for)


def make(order: ExpungementOrder) -> Certificate:
    """In the transaction that makes the order complete, after it was saved: there is never one without the other."""
    document = json.dumps(_document(order), ensure_ascii=False, indent=1).encode()
    made = Certificate.objects.create(
        order=order, document=document, signature=signing.sign(document), public_key=signing.public_key()
    )
    audit.record(f"{order.what}.certified", by=None, obj=order, sha256=digest(made), signed_with=signing.fingerprint())
    return made


def signed(certificate: Certificate) -> bytes:
    """The file that is handed out."""
    return framed(bytes(certificate.document), bytes(certificate.public_key), bytes(certificate.signature))


def read(certificate: Certificate) -> dict[str, Any]:
    """What was signed; pages and PDF show this and not the rows of today."""
    said: dict[str, Any] = json.loads(bytes(certificate.document))
    return said


def digest(certificate: Certificate) -> str:
    """Of what was signed: the audit has it, and the PDF prints it."""
    return sha256(bytes(certificate.document)).hexdigest()


def _document(order: ExpungementOrder) -> dict[str, Any]:
    kind, completed_at = Kind(order.kind), order.completed_at or timezone.now()
    return {
        "format": FORMAT,
        "title": f"Certificate of {order.what}",
        "agency": order.agency.name,
        "order": {
            "number": order.order_number,
            "id": str(order.pk),
            "kind": kind.value,
            "whole_person": order.whole_person,
            "ordered_by": "a rule" if order.rule and not order.is_replayed else "two records clerks",
            "rule": order.rule or None,
            "disposition": order.disposition or None,
            "policy_sha256": order.policy_digest or None,
        },
        "statement": words.statement(order),
        "completed_at": proofs.utc(completed_at),
        "certified_at": proofs.utc(timezone.now()),
        "time_zone": settings.TIME_ZONE,
        "software": f"mugsearch {settings.VERSION}",
        "steps": proofs.steps(order),
        "counts": [
            {"what": line.name, "count": line.count, "said": line.text} for line in words.lines(kind, order.counts)
        ],
        "kept": list(proofs.KEPT[kind]),
        "rows": ageing.ROWS if kind == Kind.EXPUNGE else None,
        "ages_out": ageing.ages_out(completed_at) if kind == Kind.EXPUNGE else [],
    }
