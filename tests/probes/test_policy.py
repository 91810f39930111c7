"""The policy changes by an administrator's act alone, with a reason, after its effects were seen."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.errors import BadInput, MugsearchError, NotAllowed, WrongState
from mugsearch.probes import policy, policy_changes, services
from mugsearch.probes.models import PolicyVersion
from tests.factories import ProbeFactory, UserFactory, administrator, auditor, clerk, examiner, investigator
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]


def text(**changed: str) -> bytes:
    """The policy file of the installation with these lines' values changed."""
    file = policy.of_installation().decode()
    for name, value in changed.items():
        file, many = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", file)
        assert many == 1
    return file.encode()


def put_in_force(new: bytes, by: User | None = None) -> PolicyVersion:
    return policy_changes.change(
        by=by or administrator(), text=new, reason="Council decision 7", instead_of=policy.current().digest
    )


def test_the_file_of_the_installation_is_the_first_version_and_recorded_once() -> None:
    policy_changes.record_installation()
    policy_changes.record_installation()
    version = PolicyVersion.objects.get()
    assert version.text.encode() == policy.of_installation()
    assert policy.current().digest == version.digest
    assert Entry.objects.get(act="policy.installed").details == {"digest": version.digest}


def test_a_file_that_changes_under_the_service_changes_nothing(settings: Any, tmp_path: Any) -> None:
    policy_changes.record_installation()
    (tmp_path / "policy.toml").write_bytes(text(list_size="7"))
    settings.MUGSEARCH_POLICY = tmp_path / "policy.toml"
    assert policy.current().list_size == 20


def test_a_change_holds_at_once_and_is_on_record_with_its_reason_and_effects() -> None:
    admin, before = administrator(), policy.current()
    version = put_in_force(text(list_size="7", positive_rating="3"), admin)
    assert (policy.current().list_size, policy.current().positive_rating) == (7, 3)
    entry = Entry.objects.get(act="policy.changed")
    assert (entry.actor, entry.outcome, entry.object_id) == (admin.pk, "done", str(version.pk))
    assert entry.details == {
        "digest": policy.current().digest,
        "instead_of": before.digest,
        "reason": "Council decision 7",
        "effects": [
            {"what": "People on a list", "before": "20", "after": "7"},
            {"what": "A rating names somebody from", "before": "+2", "after": "+3"},
        ],
    }


def test_a_search_keeps_the_policy_it_was_requested_under(fake_encoder: Any) -> None:
    user = investigator()
    probe = ProbeFactory(case__opened_by=user, submitted_by=user)
    probe.case.members.add(user)
    before = policy.current()
    search = services.search(by=user, probe=probe, face=0)
    put_in_force(text(positive_rating="3"))
    search.refresh_from_db()
    assert (search.policy_digest, search.positive_rating) == (before.digest, 2)


@pytest.mark.parametrize("who", [investigator, examiner, clerk, auditor])
def test_only_an_administrator_changes_it(who: Callable[[], User]) -> None:
    with pytest.raises(NotAllowed):
        put_in_force(text(list_size="7"), who())
    assert Entry.objects.get(act="policy.changed").outcome == "refused"
    assert not PolicyVersion.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\x00", "a\ud800"])
def test_no_change_without_a_reason(reason: str) -> None:
    with pytest.raises(BadInput, match="reason"):
        policy_changes.change(
            by=administrator(), text=text(list_size="7"), reason=reason, instead_of=policy.current().digest
        )


def test_who_saw_the_effects_on_another_policy_looks_again() -> None:
    seen = policy.current().digest
    put_in_force(text(list_size="7"))
    with pytest.raises(WrongState, match="meanwhile"):
        policy_changes.change(by=administrator(), text=text(list_size="9"), reason="r", instead_of=seen)
    with pytest.raises(WrongState, match="already"):
        put_in_force(text(list_size="7"))
    assert policy.current().list_size == 7


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_press_together_one_changes_it() -> None:
    seen, answers, people = policy.current().digest, [], [administrator(), administrator()]
    together = threading.Barrier(2)

    def press(who: User, size: int) -> None:
        together.wait()
        try:
            new = text(list_size=str(size))
            policy_changes.change(by=who, text=new, reason="r", instead_of=seen)
            answers.append("done")
        except MugsearchError as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=(who, 5 + at)) for at, who in enumerate(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["done", "wrong_state"]
    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"", "lacks"),
        (b"examiners = ", "can't be used"),
        (b"\xff\xfe", "can't be used"),
        (b"a = 1\x00", "isn't text"),
        (b"#" * 100_001, "100 kB"),
        (text(list_size="51"), "list_size"),
        (text(list_size="20.9"), "whole number"),
        (text(list_size="true"), "whole number"),
        (text(list_size="inf"), "whole number"),
        (b"a = " + b"[" * 40_000, "can't be used"),
        (text().replace(b'"Homicide"', b'"Homi\\u0000cide"'), "no text that can be shown"),
        (text(positive_rating="0"), "positive_rating"),
        (text(claim_hours="0"), "claim_hours"),
        (text(examiners="1"), "examiners"),
        (text().replace(b"[attestation]", b"[other]"), "attestation"),
        (text().replace(b'"Homicide"', b"3"), "offences"),
        (text().replace(b"homicide =", b"h" * 41 + b" ="), "offences"),
        (b'offences = "all"\n' + text().replace(b"[offences]", b"[other]"), "can't be used"),
    ],
)
def test_what_is_no_policy_is_refused_with_what_is_wrong(bad: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        policy_changes.proposed(bad)


def test_the_effects_say_what_comes_goes_and_is_renamed() -> None:
    new = text(claim_hours="48").replace(b'arson = "Arson"\n', b'treason = "Treason"\n')
    new = new.replace(b'"Robbery"', b'"Robbery and extortion"').replace(b"I attest that", b"I swear that")
    found = [
        (one.what, one.before, one.after[:22]) for one in policy_changes.effects(policy.current(), policy.read(new))
    ]
    assert found == [
        ("Idle claims go back after hours", "24", "48"),
        ("Offence", "Robbery", "Robbery and extortion"),
        ("Offence", "Arson", ""),
        ("Offence", "", "Treason"),
        ("Attestation", policy.current().attestation, "I swear that this sear"),
    ]
    assert policy_changes.effects(policy.current(), policy.read(text() + b"# a comment\n")) == []


def test_what_was_in_force_stays_on_record() -> None:
    version = put_in_force(text(list_size="7"))
    for statement in ("UPDATE probes_policyversion SET reason = 'x'", "DELETE FROM probes_policyversion"):
        with as_owner(), pytest.raises(IntegrityError, match="stays on record"), transaction.atomic():
            connection.cursor().execute(statement)
    assert PolicyVersion.objects.get() == version


def test_postgresql_takes_no_policy_from_nobody_and_none_that_is_not_the_text_of_its_digest() -> None:
    put_in_force(text(list_size="7"))
    with pytest.raises(IntegrityError, match="by somebody, for a reason"), transaction.atomic():
        PolicyVersion.objects.create(digest=policy.read(text()).digest, text=text().decode(), reason="r")
    with pytest.raises(IntegrityError, match="policy_digest_of_its_text"), transaction.atomic():
        PolicyVersion.objects.create(
            digest=policy.current().digest, text=text().decode(), reason="r", by=administrator()
        )


def test_an_administrator_sees_the_effects_and_then_puts_it_in_force(page: Page) -> None:
    browser, new = page(administrator()), text(list_size="7")
    sent = {"file": SimpleUploadedFile("policy.toml", new), "reason": "Council <decision> 7"}
    shown = browser.post("/policy/effects", sent)
    assert "People on a list" in shown.text
    assert "Council &lt;decision&gt; 7" in shown.text
    assert policy.current().list_size == 20

    kept = dict(re.findall(r'name="(text|instead_of)" value="([^"]*)"', shown.text))
    done = browser.post("/policy/change", kept | {"reason": "Council decision 7"}, follow=True)
    assert "The policy is in force." in done.text
    assert policy.current().list_size == 7
    assert browser.get(f"/policy/{PolicyVersion.objects.get().pk}.toml").content == new
    again = browser.post("/policy/effects", {"file": SimpleUploadedFile("policy.toml", new), "reason": "r"})
    assert (again.status_code, "in force already" in again.text) == (422, True)


def test_a_bad_file_or_no_reason_is_told_beside_the_field(page: Page) -> None:
    browser = page(administrator())
    bad = browser.post("/policy/effects", {"file": SimpleUploadedFile("p.toml", b"examiners = 2"), "reason": "r"})
    assert (bad.status_code, "lacks" in bad.text) == (422, True)
    assert browser.post("/policy/effects", {"reason": "r"}).status_code == 422
    assert browser.post("/policy/change", {"text": "%%", "instead_of": "", "reason": "r"}).status_code == 422


def test_auditors_and_supervisors_read_it_and_nobody_else(page: Page) -> None:
    for role in (Role.AUDITOR, Role.SUPERVISOR):
        reader = UserFactory(roles=[role])
        assert "Change it" not in page(reader).get("/policy").text
        assert page(reader).post("/policy/effects").status_code == 403
        assert page(reader).post("/policy/change").status_code == 403
    for who in (investigator(), examiner(), clerk()):
        assert page(who).get("/policy").status_code == 403
