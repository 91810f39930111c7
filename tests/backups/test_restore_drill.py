"""The restore drill: an older backup comes back, and nothing of what was purged after it does."""

import json
from pathlib import Path
from typing import Any

import pytest

from mugsearch import closed
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import verify
from mugsearch.backups import manifests
from mugsearch.errors import Unavailable
from mugsearch.gallery import encoding, live, suppression
from mugsearch.gallery.models import Booking, ImportReject, Person, Photo, Template
from mugsearch.probes.models import Candidate, Probe
from mugsearch.retention import certificates, holds, probe_erasing
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from mugsearch.vault.keys import KeyDestroyed
from reviews.models import Lead
from tests.backups.arrange import EXPUNGED, LIVING, SEALED, Drill, a_drill, a_search, restored
from tests.backups.conftest import Elsewhere
from tests.factories import A_FACE, ProbeFactory, clerk
from tests.fakes import synthetic_photo
from tests.gallery.arrange import folder_of, import_folder, row
from tests.gallery_rows import enrol
from tests.retention.arrange import expunged, held, sealed, unsealed

State = ExpungementOrder.State


def assert_as_it_should_be(drill: Drill, settings: Any) -> None:
    """In the restored database."""
    life = drill.life
    assert closed.reason(settings.VAR) is None
    for photo in life.photos:
        with pytest.raises(Unavailable):
            vault.read_file(life.booking.pk, photo.pk)
    assert not Booking.objects.filter(pk=life.booking.pk).exists()
    assert not Photo.objects.filter(pk__in=[photo.pk for photo in life.photos]).exists()
    assert not Person.objects.filter(pk=life.booking.person_id).exists()
    assert Candidate.objects.get(pk=life.candidate.pk).forgotten_at
    assert Lead.objects.get(pk=life.lead.pk).withdrawn_why == Lead.Why.EXPUNGED
    assert suppression.is_suppressed(life.booking.agency_id, drill.number)
    assert Booking.objects.get(pk=drill.hidden.booking_id).sealed_at
    held_by_index = set(live.catch_up(encoding.active()).ids().tolist())
    assert held_by_index == set(Template.objects.searchable().values_list("pk", flat=True))
    assert not held_by_index & set(Template.objects.filter(photo=drill.hidden).values_list("pk", flat=True))
    expected = {drill.living.pk, life.other.photo_id}
    assert a_search(LIVING) == a_search(SEALED) == a_search(EXPUNGED) == expected
    assert vault.read_file(drill.living.booking_id, drill.living.pk)
    assert {(order.kind, order.state) for order in ExpungementOrder.objects.all()} == {
        ("expunge", State.COMPLETE),
        ("seal", State.COMPLETE),
    }
    assert verify().intact
    assert Entry.objects.filter(act="backup.restored").count() == 1


def test_a_restored_backup_cannot_show_an_expunged_photo_nor_find_a_sealed_one(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        done = restored(drill)
        assert_as_it_should_be(drill, settings)
        assert (done.counts, done.not_here, done.keyless) == ({"expunged": 1, "sealed": 1}, [], 0)
        entry = Entry.objects.get(act="backup.restored")
        assert entry.details["head"] == manifests.peek(drill.data)["audit"]
        assert (entry.details["expunged"], entry.details["sealed"]) == (1, 1)
        for order in ExpungementOrder.objects.all():
            steps = {step["step"]: step for step in certificates.read(certificates.of(order))["steps"]}
            assert "overwritten" not in str(steps)  # that was done before: here it was looked for
            assert "looked for" in steps["forgotten_at"]["checked"]


def test_the_feed_cannot_bring_back_what_was_expunged_after_the_backup(elsewhere: Elsewhere, tmp_path: Path) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        restored(drill)
        run = import_folder(
            [row("a.png", "P-9", drill.number)], folder_of(tmp_path / "feed", {"a.png": synthetic_photo(EXPUNGED)})
        )
        assert (run.rejected, run.enrolled) == (1, 0)
        assert "expunged" in ImportReject.objects.get(run=run).reason
        assert a_search(EXPUNGED).isdisjoint({photo.pk for photo in drill.life.photos})


def test_an_old_backup_of_the_keys_shows_nothing_of_it_either(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    """The key file is lost, the ledgers beside it are not. In the backup of the keys the destroyed key is alive."""
    drill = a_drill(tmp_path)
    (Path(settings.VAULT_KEYS) / "keys").unlink()
    with elsewhere():
        restored(drill, keys=drill.keys)
        assert_as_it_should_be(drill, settings)
        assert not vault.has_key(drill.life.booking.pk)
        with pytest.raises(KeyDestroyed):
            vault.seal(drill.life.booking.pk, "photo", b"")


def test_a_second_restore_of_the_same_backup_purges_the_same(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    with elsewhere():
        restored(drill)
        restored(drill, replace=True)
        assert_as_it_should_be(drill, settings)


def test_what_was_unsealed_after_a_restore_stays_unsealed_in_its_next_backup(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    from mugsearch.accounts.services import console
    from mugsearch.backups import making
    from tests.retention.arrange import unsealed

    drill = a_drill(tmp_path)
    with elsewhere():
        restored(drill)
        unsealed(Booking.objects.get(pk=drill.hidden.booking_id))
        drill.data = making.make(by=console(), home=tmp_path / "data").folder
        restored(drill, replace=True)
        assert Booking.objects.get(pk=drill.hidden.booking_id).sealed_at is None
        assert drill.hidden.pk in a_search(SEALED)


def test_a_hold_that_was_set_after_the_backup_holds_again(elsewhere: Elsewhere, tmp_path: Path) -> None:
    drill = a_drill(tmp_path)
    hold = held(drill.living.booking)
    with elsewhere():
        assert restored(drill).counts["holds"] == 1
        again = drill.living.booking.holds.in_force().get()
        assert (again.pk, again.set_by_id) == (hold.pk, again.set_by_id)


def test_without_the_ledger_of_purges_the_one_of_destroyed_keys_still_keeps_the_expunged_away(
    elsewhere: Elsewhere, tmp_path: Path, settings: Any
) -> None:
    drill = a_drill(tmp_path)
    (Path(settings.VAULT_KEYS) / "purges").unlink()
    with elsewhere():
        assert restored(drill).counts == {"expunged": 1}
        assert suppression.is_suppressed(drill.life.booking.agency_id, drill.number)
        assert not Booking.objects.filter(pk=drill.life.booking.pk).exists()
        assert a_search(EXPUNGED).isdisjoint({photo.pk for photo in drill.life.photos})


def test_a_sealing_of_what_came_after_the_backup_is_named_because_a_feed_may_bring_it_again(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    drill = a_drill(tmp_path)
    sealed(enrol(40).booking, order_number="26-CV-9")
    with elsewhere():
        assert restored(drill).not_here == ["26-CV-9"]


def test_what_was_sealed_or_held_but_is_not_any_more_need_not_be_ordered_anew(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    drill = a_drill(tmp_path)
    first, second = enrol(40).booking, enrol(41).booking
    sealed(first)
    unsealed(first)
    holds.lift(by=clerk(agency=second.agency), hold=held(second))
    sealed(second)
    expunged(second)
    expunged(drill.hidden.booking)
    with elsewhere():
        assert restored(drill).not_here == []
        assert restored(drill, replace=True).not_here == []


def test_restoring_one_backup_again_and_again_does_not_replay_the_replays(elsewhere: Elsewhere, tmp_path: Path) -> None:
    drill = a_drill(tmp_path)
    for change in (unsealed, sealed, unsealed):
        change(drill.hidden.booking)
    with elsewhere():
        counts = [restored(drill, replace=True).counts for _ in range(3)]
        assert counts == [{"expunged": 1, "sealed": 2, "unsealed": 2}] * 3
        assert Booking.objects.get(pk=drill.hidden.booking_id).sealed_at is None


def test_a_probe_that_aged_out_after_the_backup_is_erased_again(elsewhere: Elsewhere, tmp_path: Path) -> None:
    probe = ProbeFactory(faces=[A_FACE])
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, b"an image")
    drill = a_drill(tmp_path)
    probe_erasing.erase_again(probe, rule="After 1095 days", policy_digest="0" * 64)
    with elsewhere():
        assert restored(drill).counts["probes"] == 1
        probe.refresh_from_db()
        assert (probe.state, probe.faces, probe.erasure.rule) == (Probe.State.ERASED, [], "After 1095 days")
        with pytest.raises(Unavailable):
            vault.read_file(probe.pk, probe.pk)


def test_the_ledger_of_purges_names_nobody(tmp_path: Path, settings: Any) -> None:
    drill = a_drill(tmp_path)
    text = (Path(settings.VAULT_KEYS) / "purges").read_text()
    acts = [json.loads(line)["act"] for line in text.splitlines()]
    assert acts == ["booking.sealed", "booking.expunged"]
    person = drill.hidden.booking.person
    for told in (drill.number, person.family_name, person.person_id, "Charges dismissed"):
        assert told not in text
