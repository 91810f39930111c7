"""A restore gives nobody back what was taken from them after the backup: see mugsearch/backups/people.py."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator

from mugsearch.accounts import factors, passwords, services
from mugsearch.accounts.models import Role, User
from mugsearch.accounts.services import console
from mugsearch.audit.models import Entry
from mugsearch.audit.verify import verify
from mugsearch.backups import making, people, restoring
from tests.backups.conftest import Elsewhere
from tests.factories import PASSWORD, UserFactory, second_factor


def with_factor(**kwargs: Any) -> User:
    user: User = UserFactory(**kwargs)
    second_factor(user)
    return user


def backup(folder: Path) -> Path:
    return making.make(by=console(), home=folder / "data").folder


def restored(data: Path, **options: Any) -> restoring.Restored:
    return restoring.restore(data, say=lambda _: None, **options)


def test_who_was_disabled_locked_or_lost_a_role_after_the_backup_does_not_get_it_back(tmp_path: Path) -> None:
    disabled, locked, lesser, as_before = (with_factor(roles=[Role.RECORDS, Role.AUDITOR]) for _ in range(4))
    data = backup(tmp_path)
    services.set_active(by=console(), user=disabled, active=False)
    User.objects.filter(pk=locked.pk).update(locked_at=datetime(2026, 1, 1, tzinfo=UTC))
    services.set_roles(by=console(), user=lesser, roles=[Role.RECORDS])
    services.set_roles(by=console(), user=as_before, roles=[Role.RECORDS, Role.AUDITOR, Role.SUPERVISOR])
    done = restored(data, replace=True)
    for user in (disabled, locked, lesser, as_before):
        user.refresh_from_db()
    assert not disabled.is_active
    assert locked.locked_at
    assert (lesser.roles, lesser.is_active, lesser.locked_at) == ({Role.RECORDS}, True, None)
    assert as_before.roles == {Role.RECORDS, Role.AUDITOR}, "nothing is added, and nothing taken that is still theirs"
    assert (as_before.check_password(PASSWORD), factors.has_one(as_before)) == (True, True)
    assert done.narrowed == 3
    said = Entry.objects.filter(act=people.ACT).values_list("object_id", flat=True)
    assert set(said) == {str(user.pk) for user in (disabled, locked, lesser)}
    assert verify().intact


def test_a_second_factor_that_was_reset_does_not_work_again_and_nobody_enrols_with_the_password_alone(
    tmp_path: Path,
) -> None:
    stolen, renewed, spare = with_factor(), with_factor(), with_factor()
    old = set(Authenticator.objects.filter(user__in=[stolen, renewed]).values_list("pk", flat=True))
    factors._with_recovery_codes(spare)
    data = backup(tmp_path)
    factors.reset(by=console(), user=stolen)
    factors.reset(by=console(), user=renewed)
    second_factor(renewed)
    factors.renew_recovery_codes(by=spare)
    restored(data, replace=True)
    assert not Authenticator.objects.filter(pk__in=old).exists()
    for user in (stolen, renewed, spare):
        user.refresh_from_db()
    assert renewed.locked_at, "a factor was theirs, and now there is none"
    assert stolen.locked_at is None, "an administrator has reset it, and it stays so"
    assert factors.kinds(spare) == {"totp"}, "codes that were renewed do not work again"
    assert not spare.locked_at


def test_a_password_that_was_changed_after_the_backup_does_not_work_again(tmp_path: Path) -> None:
    changed, hashed_anew = with_factor(), with_factor()
    data = backup(tmp_path)
    passwords.change(by=changed, password="another-long-one-7", here=None)
    hashed_anew.set_password(PASSWORD)
    hashed_anew.save()
    restored(data, replace=True)
    changed.refresh_from_db()
    hashed_anew.refresh_from_db()
    assert not changed.check_password(PASSWORD)
    assert not changed.has_usable_password()
    assert hashed_anew.check_password(PASSWORD)


def test_a_certificate_that_was_revoked_after_the_backup_is_revoked_again(tmp_path: Path) -> None:
    examiner = UserFactory(roles=[Role.EXAMINER], certified=True)
    data = backup(tmp_path)
    services.revoke_certificate(by=console(), certificate=examiner.certificates.get())
    assert not examiner.may_examine()
    restored(data, replace=True)
    assert not examiner.may_examine()


def test_what_was_known_of_people_outlasts_a_restore_that_is_given_up_for_another_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the database that knew is replaced."""
    user = with_factor()
    older, newer = backup(tmp_path / "older"), backup(tmp_path / "newer")
    services.set_active(by=console(), user=user, active=False)
    with monkeypatch.context() as broken:

        def killed(before: people.Known) -> None:
            raise KeyboardInterrupt

        broken.setattr(people, "take_again", killed)
        with pytest.raises(KeyboardInterrupt):
            restored(newer, replace=True)
    restored(older, replace=True)
    user.refresh_from_db()
    assert not user.is_active


def test_where_the_replaced_database_knows_nobody_the_restore_says_that_it_cannot_tell(
    tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with_factor()
    data = backup(tmp_path)
    with elsewhere():
        assert restored(data).narrowed is None
        assert not User.objects.people().filter(locked_at__isnull=False).exists()


def test_nothing_is_taken_twice(tmp_path: Path) -> None:
    user = with_factor(roles=[Role.RECORDS])
    before = people.known()
    before[str(user.pk)] |= {"roles": [], "factors": []}
    people.take_again(before)
    people.take_again(before)
    assert Entry.objects.filter(act=people.ACT).count() == 1
