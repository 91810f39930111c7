"""The agency's policy: what is in force, and what a policy file has to be like.

The file that MUGSEARCH_POLICY names is the policy of a new installation. From then on PostgreSQL holds what is in force
(`PolicyVersion`), so that it changes by an administrator's act only (`policy_changes`), in all processes at once.
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from mugsearch.probes import retention_rules, signal_rules
from mugsearch.probes.models import PolicyVersion
from mugsearch.probes.retention_rules import Retention

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)  # of tomllib and below

# For a policy file of before there was evidence: without a kind to choose no lead could be used.
EVIDENCE = {
    "witness": "Witness who knows the person or saw the act",
    "physical": "Physical evidence: fingerprints, DNA, an object",
    "digital": "Digital evidence: phone, account or payment data",
    "location": "Proof of where the person was",
    "statement": "Statement of the person",
    "records": "Records of another agency or a business",
}


@dataclass(frozen=True)
class Policy:
    """`offences`, `legal_bases`, `sources`, `refused_sources`, `evidence`: code -> label, in the file's order."""

    examiners: int
    list_size: int
    positive_rating: int
    claim_hours: int
    lead_days: int
    lineup_fillers: int
    trials_judged: int
    trial_misses: int
    trial_false_leads: int
    certificate_months: int
    offences: dict[str, str]
    legal_bases: dict[str, str]
    sources: dict[str, str]
    refused_sources: dict[str, str]
    evidence: dict[str, str]
    attestation: str
    retention: Retention
    signals: dict[str, int]  # thresholds of misuse signals, see probes.signal_rules
    digest: str


def current() -> Policy:
    """What is in force. Before the first `migrate` has recorded it, what the file says."""
    latest = PolicyVersion.objects.order_by("-number").values_list("digest", flat=True).first()
    return _of(latest) if latest else read(of_installation())


def of_installation() -> bytes:
    """The text of the file that MUGSEARCH_POLICY names. Raises ImproperlyConfigured."""
    path = Path(settings.MUGSEARCH_POLICY)
    try:
        text = path.read_bytes()
        read(text)
    except (OSError, *UNREADABLE) as error:
        raise ImproperlyConfigured(f"The policy file {path.name} can't be used: {error!r}") from error
    return text


@lru_cache(maxsize=8)
def _of(digest: str) -> Policy:
    version = PolicyVersion.objects.filter(digest=digest).order_by("-number")[0]
    return read(version.text.encode())


@lru_cache(maxsize=8)
def read(text: bytes) -> Policy:
    """Raises one of UNREADABLE when it is no policy file."""
    return _validated(tomllib.loads(text.decode()), sha256(text).hexdigest())


def _validated(raw: dict[str, Any], digest: str) -> Policy:
    policy = Policy(
        examiners=_examiners(raw),
        list_size=_number(raw, "list_size", 2, 50),
        positive_rating=_number(raw, "positive_rating", 1, 3, 2),
        claim_hours=_number(raw, "claim_hours", 1, 168, 24),
        lead_days=_number(raw, "lead_days", 1, 365, 30),
        lineup_fillers=_number(raw, "lineup_fillers", 3, 11, 5),
        trials_judged=_number(raw, "trials_judged", 1, 1000, 10),
        trial_misses=_number(raw, "trial_misses", 0, 100, 20),
        trial_false_leads=_number(raw, "trial_false_leads", 0, 100, 5),
        certificate_months=_number(raw, "certificate_months", 1, 60, 24),
        offences=_labels(raw, "offences"),
        legal_bases=_labels(raw, "legal_bases"),
        sources=_labels(raw, "sources"),
        refused_sources=_labels(raw, "refused_sources"),
        evidence=_labels({"evidence": EVIDENCE, **raw}, "evidence"),
        attestation=_text(raw["attestation"]["text"]),
        retention=retention_rules.read(raw),
        signals={name: _number(raw.get("signals", {}), name, *rule) for name, rule in signal_rules.RULES.items()},
        digest=digest,
    )
    if not policy.evidence:
        raise ValueError("evidence can't be empty")
    if not (policy.offences and policy.legal_bases and policy.sources and policy.attestation.strip()):
        raise ValueError("offences, legal_bases, sources and the attestation can't be empty")
    return policy


def _examiners(raw: dict[str, Any]) -> int:
    if _number(raw, "examiners", 0, 99) != 2:  # ADR 8
        raise ValueError("examiners has to be 2: no lead rests on one person, and where two disagree a third is asked")
    return 2


def _number(raw: dict[str, Any], name: str, lowest: int, highest: int, default: int | None = None) -> int:
    """A policy file of before there was this number has the default; one without a default is needed."""
    value = raw[name] if default is None else raw.get(name, default)
    if type(value) is not int:  # not true either
        raise ValueError(f"{value!r} is not a whole number")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} has to be between {lowest} and {highest}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not all(c.isprintable() or c == "\n" for c in value):
        raise ValueError(f"{value!r} is no text that can be shown")
    return value


def _labels(raw: dict[str, Any], name: str) -> dict[str, str]:
    given = dict(raw[name])
    for code, label in given.items():
        try:
            if len(_text(code)) > 40 or not _text(label):  # a probe keeps 40 characters of a code
                raise ValueError(f"{code!r} has more than 40 characters")
        except ValueError as error:
            raise ValueError(f"in {name} {error}") from error
    return given
