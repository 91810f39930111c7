"""A database of the version before second factors and sharing by name."""

import datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from mugsearch import ownership
from mugsearch.accounts import factors, idle
from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.audit.verify import verify
from mugsearch.probes.models import Case
from tests.backups.conftest import Elsewhere
from tests.factories import UserFactory

BEFORE = (
    ("accounts", "0003_who_revoked_a_certificate"),
    ("audit", "0003_indexes_by_number"),
    ("contenttypes", "0002_remove_content_type_name"),
    ("gallery", "0014_since_when_rules_go_by_it"),
    ("probes", "0015_erased_probes"),
    ("retention", "0006_erased_probes"),
    ("reviews", "0007_leads_of_sealed_bookings"),
    ("sessions", "0001_initial"),
    ("trials", "0003_ready_photographs_stay"),
)
NOW = timezone.now()
YEAR_AGO, MONTH_AGO, WEEK_AGO = (NOW - datetime.timedelta(days=days) for days in (400, 30, 7))


def test_an_upgrade_keeps_who_is_on_a_case_and_who_uses_their_account_and_makes_no_password_younger(
    elsewhere: Elsewhere,
) -> None:
    with elsewhere():
        old = _Before()
        ivy, olga, otto = (old.user(name, last_login=WEEK_AGO) for name in ("ivy", "olga", "otto"))
        _cases(old, ivy, olga, otto)
        _accounts(old)
        with ownership.acting(), connection.cursor() as cursor:
            cursor.execute("CREATE TABLE knox_authtoken (digest text PRIMARY KEY)")
        call_command("migrate", verbosity=0, interactive=False)
        assert "knox_authtoken" not in connection.introspection.table_names()
        everybody_is_on_their_cases()
        nobody_is_called_idle_who_is_not()
        accounts_and_passwords_are_as_before()
        audit.record("session.started", by=User.objects.get(username="ivy"))
        assert verify().first_bad is None


def test_an_upgrade_names_those_whose_user_names_differ_in_case_only_and_changes_nothing(a_copy: Elsewhere) -> None:
    with a_copy():
        call_command("migrate", "accounts", "0008", verbosity=0, interactive=False)
        for username in ("Bob", "bob", "bobby"):
            UserFactory(username=username)
        with pytest.raises(CommandError, match=r"one name now: Bob and bob\. .*do this again"):
            call_command("migrate", verbosity=0, interactive=False)
        User.objects.filter(username="Bob").update(username="Robert")
        call_command("migrate", verbosity=0, interactive=False)
        with pytest.raises(IntegrityError, match="one_user_of_a_name"):
            UserFactory(username="BOBBY")


def _cases(old: "_Before", ivy: Any, olga: Any, otto: Any) -> None:
    shared, left, nobodys = old.case("26-1", ivy, olga, otto), old.case("26-2", ivy, olga), old.case("26-3", ivy)
    old.entry(ivy, "case.shared", at=MONTH_AGO, obj=shared, case=shared.pk, with_user=str(olga.pk))
    old.entry(ivy, "case.shared", at=WEEK_AGO, obj=shared, case=shared.pk, with_user=str(olga.pk))  # again
    old.entry(otto, "case.shared", at=WEEK_AGO, obj=left, case=left.pk, with_user=str(otto.pk))  # of another case
    with ownership.acting():  # no page took anybody off a case, but the owner of the tables could
        left.members.remove(ivy)
        nobodys.members.remove(ivy)


def everybody_is_on_their_cases() -> None:
    assert _on("26-1") == [
        ("ivy", YEAR_AGO, "ivy", None),
        ("olga", MONTH_AGO, "ivy", None),
        ("otto", YEAR_AGO, None, None),  # the record doesn't say: at the earliest since the case was opened
    ]
    assert _on("26-2") == [("olga", YEAR_AGO, None, None)]
    assert _on("26-3") == []
    responsible = dict(Case.objects.values_list("number", "responsible__username"))
    assert responsible == {"26-1": "ivy", "26-2": "olga", "26-3": None}


def _accounts(old: "_Before") -> None:
    old.entry(old.user("program", roles=("investigator", "examiner")), "token.made", at=WEEK_AGO)
    old.entry(old.user("old-program"), "token.made", at=YEAR_AGO)
    old.entry(old.user("refused"), "token.made", at=WEEK_AGO, outcome="refused")
    old.entry(None, "user.enabled", at=WEEK_AGO, obj=old.user("enabled"))
    changed = old.user("changed", roles=("records",), is_active=False)
    old.entry(None, "user.password-set", at=MONTH_AGO, obj=changed)
    old.entry(None, "user.password-set", at=WEEK_AGO, obj=changed, outcome="refused")


def nobody_is_called_idle_who_is_not() -> None:
    assert {user.username for user in idle.idle()} == {"old-program", "refused"}


def accounts_and_passwords_are_as_before() -> None:
    people = User.objects.people()
    assert {user.username for user in people if user.password_set_at != YEAR_AGO} == {"changed"}
    assert people.get(username="changed").password_set_at == MONTH_AGO
    assert {user.username: sorted(user.roles) for user in people if user.roles} == {
        "program": ["examiner", "investigator"],
        "changed": ["records"],
    }
    assert [user.username for user in people if not user.is_active] == ["changed"]
    assert not any(factors.has_one(user) or user.locked_at for user in people)


def _on(number: str) -> list[tuple[Any, ...]]:
    members = Case.objects.get(number=number).memberships.order_by("user__username")
    return list(members.values_list("user__username", "since", "added_by__username", "until"))


class _Before:
    """The old tables, of an agency with cases that were opened a year ago."""

    def __init__(self) -> None:
        with ownership.acting():
            executor = MigrationExecutor(connection)
            executor.migrate(list(BEFORE))
            self._apps = executor.loader.project_state(list(BEFORE)).apps
        self._agency = self._add("accounts.Agency", code="ogden", name="Ogden")
        self._last = "0" * 64
        self._number = 0

    def user(self, username: str, *, roles: tuple[str, ...] = (), **columns: Any) -> Any:
        given = {"full_name": username, "agency": self._agency, "created_at": YEAR_AGO, **columns}
        user = self._add("accounts.User", username=username, **given)
        for role in roles:
            self._add("accounts.RoleGrant", user=user, role=role)
        return user

    def case(self, number: str, *members: Any) -> Any:
        case = self._add("probes.Case", agency=self._agency, number=number, opened_by=members[0], created_at=YEAR_AGO)
        with ownership.acting():
            case.members.add(*members)
        return case

    def entry(
        self,
        actor: Any,
        act: str,
        *,
        at: datetime.datetime,
        outcome: str = "done",
        obj: Any = None,
        case: UUID | None = None,
        **details: str,
    ) -> None:
        self._number += 1
        columns = {
            "number": self._number,
            "at": at,
            "actor": actor and actor.pk,
            "address": None,
            "act": act,
            "outcome": outcome,
            "object_type": obj._meta.label_lower if obj else "",
            "object_id": str(obj.pk) if obj else "",
            "case": case,
            "details": details,
            "previous": self._last,
        }
        self._last = audit.digest_of(columns)
        self._add("audit.Entry", **columns, digest=self._last)

    def _add(self, label: str, **columns: Any) -> Any:
        with ownership.acting():
            return self._apps.get_model(*label.split(".")).objects.create(**columns)
