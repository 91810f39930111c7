"""What a token may be made for. It never does more than the person it acts for."""

from collections.abc import Collection
from enum import StrEnum

from mugsearch.accounts.models import Role
from mugsearch.errors import BadInput


class Sensitive(StrEnum):
    """What a session confirms with its password or code first, and a token has to be made for by name."""

    PURGE = "purge"
    ACCOUNTS = "accounts"
    EXPORT = "export"
    POLICY = "policy"


_OF_ROLES = {
    Role.INVESTIGATOR: ("see one's cases, probes, searches and leads", "open cases, upload, search, use leads"),
    Role.EXAMINER: ("see one's own examinations", "claim, compare and conclude"),
    Role.SUPERVISOR: ("see open examinations, leads and trials", "free examinations, make trials, withdraw leads"),
    Role.RECORDS: ("see people, bookings, imports and orders", "import, correct, record dispositions"),
    Role.AUDITOR: ("read the audit", "verify it and review"),
    Role.ADMINISTRATOR: ("see users and the policy", "change what the scopes below are for"),
}
_OF_SENSITIVE = {
    Sensitive.PURGE: ((Role.RECORDS,), "ask for and approve what destroys, seals or unseals"),
    Sensitive.ACCOUNTS: ((Role.ADMINISTRATOR,), "add users, change roles, end accounts"),
    Sensitive.EXPORT: (
        (Role.AUDITOR, Role.SUPERVISOR, Role.INVESTIGATOR, Role.RECORDS),
        "take the audit, disclosure bundles, line-ups and rejected rows out",
    ),
    Sensitive.POLICY: ((Role.ADMINISTRATOR,), "change the policy, by whose rules photographs are erased"),
}

# Scope -> (who may have it, what it is for).
SCOPES: dict[str, tuple[tuple[Role, ...], str]] = {
    **{
        f"{role.value}:{verb}": ((role,), text)
        for role, texts in _OF_ROLES.items()
        for verb, text in zip(("read", "write"), texts, strict=True)
    },
    **{one.value: told for one, told in _OF_SENSITIVE.items()},
}


def open_to(roles: Collection[str]) -> dict[str, str]:
    """{scope: what it is for} of somebody with these roles."""
    return {scope: text for scope, (whose, text) in SCOPES.items() if any(role in roles for role in whose)}


def require_known(scopes: Collection[str], roles: Collection[str]) -> None:
    may = open_to(roles)
    if not scopes:
        raise BadInput("Say what the token is for: it needs at least one scope.")
    if unknown := sorted(set(scopes) - set(may)):
        raise BadInput(f"Your roles don't have the scope {unknown[0]}. They have: {', '.join(may)}.")


def roles_of(scopes: Collection[str], *, writing: bool) -> frozenset[str]:
    """The roles a token acts in. Who may change something may see it, too."""
    verbs = ("write",) if writing else ("read", "write")
    return frozenset(role.value for role in Role if any(f"{role.value}:{verb}" in scopes for verb in verbs))
