"""The agency's policy file, read once per process and validated; its digest goes onto every probe and search."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Policy:
    """`offences`, `legal_bases`, `sources`, `refused_sources`: code -> label, in the file's order."""

    examiners: int
    list_size: int
    positive_rating: int
    claim_hours: int
    offences: dict[str, str]
    legal_bases: dict[str, str]
    sources: dict[str, str]
    refused_sources: dict[str, str]
    attestation: str
    digest: str


def current() -> Policy:
    return _read(Path(settings.MUGSEARCH_POLICY))


@lru_cache(maxsize=4)
def _read(path: Path) -> Policy:
    try:
        text = path.read_bytes()
        return _validated(tomllib.loads(text.decode()), sha256(text).hexdigest())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"The policy file {path.name} can't be used: {error!r}") from error


def _validated(raw: dict[str, Any], digest: str) -> Policy:
    policy = Policy(
        examiners=int(raw["examiners"]),
        list_size=int(raw["list_size"]),
        positive_rating=int(raw.get("positive_rating", 2)),
        claim_hours=int(raw.get("claim_hours", 24)),
        offences=dict(raw["offences"]),
        legal_bases=dict(raw["legal_bases"]),
        sources=dict(raw["sources"]),
        refused_sources=dict(raw["refused_sources"]),
        attestation=str(raw["attestation"]["text"]),
        digest=digest,
    )
    # Two is what the database's rules for a lead are written for; another number is a later step.
    if policy.examiners != 2:
        raise ValueError("examiners has to be 2")
    if not 2 <= policy.list_size <= 50:
        raise ValueError("list_size has to be between 2 and 50")
    if not 1 <= policy.positive_rating <= 3:
        raise ValueError("positive_rating has to be between 1 and 3")
    if not 1 <= policy.claim_hours <= 168:
        raise ValueError("claim_hours has to be between 1 and 168")
    if not (policy.offences and policy.legal_bases and policy.sources and policy.attestation):
        raise ValueError("offences, legal_bases, sources and the attestation can't be empty")
    return policy
