"""`./run manage rotate_master_key`: a new master key, without encrypting anything anew."""

from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed, Unavailable
from mugsearch.gallery import suppression
from mugsearch.vault import services as vault
from tests.factories import investigator

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "ab" * 32


def rotate() -> str:
    said = StringIO()
    call_command("rotate_master_key", stdout=said)
    return said.getvalue()


def test_after_a_rotation_everything_opens_with_the_new_master_key_and_nothing_with_the_old_one(settings: Any) -> None:
    owner, agency, old = uuid4(), uuid4(), settings.MUGSEARCH_MASTER_KEY
    vault.create_key(owner)
    sealed, digest = vault.seal(owner, "x", b"secret"), suppression.digest(agency, "B-1")
    settings.MUGSEARCH_MASTER_KEY, settings.MUGSEARCH_MASTER_KEY_OLD = NEW, old
    assert "Wrapped anew: 2 keys" in rotate()
    settings.MUGSEARCH_MASTER_KEY_OLD = ""
    assert vault.unseal(owner, "x", sealed) == b"secret"
    assert suppression.digest(agency, "B-1") == digest, "a purged booking is still refused"
    settings.MUGSEARCH_MASTER_KEY = old
    with pytest.raises(Unavailable, match="right master key"):
        vault.unseal(owner, "x", sealed)
    entry = Entry.objects.get(act="vault.master-key-rotated")
    assert (entry.outcome, entry.details) == ("done", {"keys": 2})


def test_digests_made_before_the_key_file_was_there_stay_valid(settings: Any) -> None:
    info = b"mugsearch suppression of purged bookings"
    before = HKDF(SHA256(), 32, salt=None, info=info).derive(bytes.fromhex(settings.MUGSEARCH_MASTER_KEY))
    assert vault.digest_key() == before


def test_digests_stay_valid_when_the_first_thing_after_an_update_is_a_rotation(settings: Any) -> None:
    before = vault.digest_key()
    settings.VAULT_KEYS = settings.VAR / "other"
    settings.MUGSEARCH_MASTER_KEY, settings.MUGSEARCH_MASTER_KEY_OLD = NEW, settings.MUGSEARCH_MASTER_KEY
    rotate()
    settings.MUGSEARCH_MASTER_KEY_OLD = ""
    assert vault.digest_key() == before


def test_a_rotation_needs_the_old_master_key(settings: Any) -> None:
    vault.create_key(uuid4())
    with pytest.raises(CommandError, match="Set MUGSEARCH_MASTER_KEY_OLD"):
        rotate()
    settings.MUGSEARCH_MASTER_KEY, settings.MUGSEARCH_MASTER_KEY_OLD = NEW, "cd" * 32
    with pytest.raises(CommandError, match="another master key"):
        rotate()


def test_only_an_administrator_rotates(settings: Any) -> None:
    with pytest.raises(NotAllowed):
        vault.rotate_master_key(by=investigator(), progress=int)
    assert not Path(settings.VAULT_KEYS).exists()


@pytest.mark.parametrize("value", ["no hex", "ab" * 31])
def test_a_master_key_that_is_none_is_told_by_its_name(settings: Any, value: str) -> None:
    settings.MUGSEARCH_MASTER_KEY_OLD = value
    with pytest.raises(ImproperlyConfigured, match="MUGSEARCH_MASTER_KEY_OLD has to be 64 hex digits"):
        vault.create_key(uuid4())
