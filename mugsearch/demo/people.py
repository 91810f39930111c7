"""Who signs in to the demo: one person per role, and the other examiners and the second clerk that the work needs."""

import os
import secrets
from pathlib import Path

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.utils import timezone

from mugsearch.accounts import factors, services
from mugsearch.accounts.models import Agency, Role, User
from reviews.certificates import record_certificate

PEOPLE = (
    ("ivy", "Ivy Novak", Role.INVESTIGATOR, "opens cases, uploads images, receives leads"),
    ("edgar", "Edgar Lindqvist", Role.EXAMINER, "compares candidates"),
    ("mona", "Mona Okafor", Role.EXAMINER, "compares candidates, separately from Edgar"),
    ("theo", "Theo Marsh", Role.EXAMINER, "compares what the two disagree on, as blind as they were"),
    ("sam", "Sam Whitfield", Role.SUPERVISOR, "oversees the work"),
    ("rita", "Rita Alvarez", Role.RECORDS, "imports bookings, asks for expungements"),
    ("carl", "Carl Jensen", Role.RECORDS, "approves Rita's expungements"),
    ("ada", "Ada Brandt", Role.AUDITOR, "reads the record"),
    ("noor", "Noor Haddad", Role.ADMINISTRATOR, "adds users, records certificates"),
)

CODE = "The page that asks for a code shows it, in the demo only."


def ensure(agency: Agency, sign_ins: Path) -> dict[str, User]:
    """The demo's people by user name. Their password is made once and written to `sign_ins`, for the owner's eyes.

    Each has an authenticator app that is nowhere: in the demo the page that asks for its code shows it.
    """
    console = services.console()
    password = None if sign_ins.exists() else "-".join(secrets.token_hex(3) for _ in range(3))
    here = {user.username: user for user in User.objects.filter(username__in=[name for name, *_ in PEOPLE])}
    for username, full_name, role, _ in PEOPLE:
        if username not in here:
            here[username] = services.add_user(
                by=console,
                username=username,
                full_name=full_name,
                agency=agency,
                password=password or secrets.token_urlsafe(24),
                roles=[role],
            )
        elif password:
            services.set_password(by=console, user=here[username], password=password)
    for user in here.values():
        if not factors.has_one(user):
            TOTP.activate(user, generate_totp_secret())
        if user.has_role(Role.EXAMINER) and not user.certificates.valid().exists():
            _certify(console, user)
    if password:
        _write_sign_ins(sign_ins, password)
    elif CODE not in (text := sign_ins.read_text()):  # written by a version without second factors
        sign_ins.write_text(f"{text.rstrip()}\n{CODE}\n")
    return here


def _certify(console: User, examiner: User) -> None:
    record_certificate(
        by=console,
        examiner=examiner,
        programme="Facial comparison, basic course",
        issued_by="Demo academy",
        hours=80,
        issued_on=timezone.localdate(),
    )


def _write_sign_ins(path: Path, password: str) -> None:
    lines = [f"  {name:<8}{role.label:<15}{what}" for name, _, role, what in PEOPLE]
    text = "\n".join([f"Sign in with the password {password} as", *lines, CODE, ""])
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
