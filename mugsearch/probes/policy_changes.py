"""Putting another policy in force: an administrator's act, with a reason, after having seen what it changes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import require
from mugsearch.audit import services as audit
from mugsearch.errors import BadInput, WrongState
from mugsearch.probes import policy
from mugsearch.probes.models import PolicyVersion
from mugsearch.probes.policy import Policy
from mugsearch.validators import require_text

LARGEST = 100_000  # bytes of a policy file
REASON_LIMIT = 1000


@dataclass(frozen=True)
class Effect:
    """One thing that changes: what it was, what it becomes (either may be empty), and for whom.

    `counts`: how many of what are concerned on the day of the change; for the record.
    """

    what: str
    before: str
    after: str
    means: str
    counts: dict[str, int] = field(default_factory=dict)


# What a change means in rooms above this one: they put here what tells it of the policy in force and the proposed one.
told_by: list[Callable[[Policy, Policy], Iterable[Effect]]] = []


def record_installation() -> None:
    """The file's policy becomes the first version, when there is none. Called after every `migrate`."""
    if PolicyVersion.objects.exists():
        return
    text = policy.of_installation()
    with audit.act("policy.installed", by=None) as act:
        version = PolicyVersion.objects.create(digest=policy.read(text).digest, text=text.decode(), reason="Installed")
        act.obj = version
        act.note(digest=version.digest)


def proposed(text: bytes) -> Policy:
    """A policy file somebody wants to put in force. Raises BadInput, saying what is wrong with it."""
    if len(text) > LARGEST:
        raise BadInput(f"A policy file has up to {LARGEST // 1000} kB.")
    try:
        if b"\x00" in text:
            raise ValueError("it isn't text")
        return policy.read(text)
    except KeyError as error:
        raise BadInput(f"The policy file lacks {error}.") from error
    except policy.UNREADABLE as error:
        raise BadInput(f"The policy file can't be used: {error}.") from error


def effects(now: Policy, then: Policy) -> list[Effect]:
    """What changes, in the order of the file; empty when nothing that is read does."""
    return [*_effects(now, then), *(effect for tell in told_by for effect in tell(now, then))]


def _effects(now: Policy, then: Policy) -> Iterator[Effect]:
    numbers = {
        "list_size": ("People on a list", "New searches, where nothing else is asked for. Those made before stay."),
        "positive_rating": (
            "A rating names somebody from",
            "Searches requested from now on. Those requested before are examined by what was in force then.",
        ),
        "claim_hours": ("Idle claims go back after hours", "Every examination that is claimed now or later."),
        "lead_days": ("A lead without an outcome is overdue after days", "Every lead that is open now or later."),
        "certificate_months": (
            "An examiner’s certificate counts for months",
            "Certificates recorded from now on. Those recorded before stay valid as they are.",
        ),
        "trials_judged": ("Trials a rate needs", "Examiners whose trials are looked at from now on."),
        "trial_misses": ("Bar of missed people, percent", "Examiners whose trials are looked at from now on."),
        "trial_false_leads": ("Bar of false leads, percent", "Examiners whose trials are looked at from now on."),
        "lineup_fillers": ("Others in a line-up", "Line-ups exported from now on. Those exported before stay."),
    }
    for name, (what, means) in numbers.items():
        before, after = getattr(now, name), getattr(then, name)
        if before != after:
            sign = "+" if name == "positive_rating" else ""
            yield Effect(what, f"{sign}{before}", f"{sign}{after}", means)
    chosen = ("can be chosen for new searches", "can't be chosen any more; probes that name it stay")
    lists = {
        "offences": ("Offence", *chosen),
        "legal_bases": ("Legal basis", *chosen),
        "sources": ("Source", *chosen),
        "refused_sources": ("Refused source", "is refused with its name", "is no longer refused by name"),
        "evidence": ("Kind of evidence", "can be chosen for a lead", "can't be chosen any more; evidence of it stays"),
    }
    for name, (what, comes, goes) in lists.items():
        before, after = getattr(now, name), getattr(then, name)
        for code in [*before, *(code for code in after if code not in before)]:
            old, new = before.get(code, ""), after.get(code, "")
            if old != new:
                on = "evidence" if name == "evidence" else "probes"
                happens = f"is called otherwise, on old {on} too" if old and new else comes if new else goes
                yield Effect(what, old, new, f"“{code}” {happens}.")
    if now.attestation != then.attestation:
        yield Effect("Attestation", now.attestation, then.attestation, "Everybody who uploads an image from now on.")


def change(*, by: User, text: bytes, reason: str, instead_of: str) -> PolicyVersion:
    """Put `text` in force. `instead_of`: the digest of the policy whose changes the administrator has seen."""
    with audit.act("policy.changed", by=by) as act:
        require(by, Role.ADMINISTRATOR)
        then = proposed(text)
        reason = reason.strip()
        refusal = f"Give a reason, of up to {REASON_LIMIT} characters."
        require_text(reason, least=1, most=REASON_LIMIT, refusal=refusal)
        PolicyVersion.lock()
        now = policy.current()
        if now.digest != instead_of:
            raise WrongState("Somebody else has changed the policy meanwhile; look at what would change now.")
        if now.digest == then.digest:
            raise WrongState("This policy is in force already.")
        version = PolicyVersion.objects.create(digest=then.digest, text=text.decode(), reason=reason, by=by)
        act.obj = version
        act.note(digest=then.digest, instead_of=now.digest, reason=reason, effects=_for_the_record(now, then))
    return version


def _for_the_record(now: Policy, then: Policy) -> list[dict[str, Any]]:
    return [
        {"what": one.what, "before": one.before, "after": one.after, **({"counts": one.counts} if one.counts else {})}
        for one in effects(now, then)
    ]
