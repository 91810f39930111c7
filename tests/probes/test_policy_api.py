"""The policy over REST, for the same people as on its pages."""

from collections.abc import Callable
from typing import Any

import pytest

from mugsearch.accounts.models import Role, User
from mugsearch.audit.models import Entry
from mugsearch.probes import policy
from mugsearch.probes.models import PolicyVersion
from tests.factories import UserFactory, administrator, clerk, examiner, investigator
from tests.probes.test_policy import put_in_force, text

pytestmark = pytest.mark.django_db
Api = Callable[[User], Any]


def test_an_administrator_previews_a_change_and_puts_it_in_force(api: Api):
    client, new, now = api(administrator()), text(list_size="7").decode(), policy.current()
    assert client.get("/api/v1/policy").json()["list_size"] == 20
    seen = client.post("/api/v1/policy/preview", {"text": new}, format="json").json()
    assert [(one["what"], one["before"], one["after"]) for one in seen["effects"]] == [("People on a list", "20", "7")]
    assert seen["instead_of"] == now.digest
    assert policy.current() == now

    said = {"text": new, "reason": "Council decision 7", "instead_of": seen["instead_of"]}
    changed = client.put("/api/v1/policy", said, format="json")
    assert (changed.status_code, changed.json()["digest"]) == (200, seen["digest"])
    told = client.get("/api/v1/policy").json()
    assert (told["list_size"], told["digest"]) == (7, seen["digest"])
    assert list(told["offences"].items()) == list(now.offences.items())
    again = client.put("/api/v1/policy", said, format="json")
    assert (again.status_code, "meanwhile" in again.json()["detail"]) == (409, True)

    (version,) = client.get("/api/v1/policy/versions").json()["results"]
    assert (version["reason"], version["number"]) == ("Council decision 7", PolicyVersion.objects.get().pk)
    assert client.get(f"/api/v1/policy/versions/{version['number']}").json()["text"] == new
    assert Entry.objects.filter(act="policy.downloaded", object_id=version["number"]).exists()


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ({"text": "examiners = 2"}, 422),
        ({"text": text(examiners="1").decode()}, 422),
        ({"text": "#" * 100_001}, 422),
        ({"text": "a\x00"}, 400),
        ({"text": ""}, 400),
        ({}, 400),
    ],
)
def test_what_is_no_policy_is_refused(bad: dict[str, str], status: int, api: Api):
    client = api(administrator())
    assert client.post("/api/v1/policy/preview", bad, format="json").status_code == status
    said = {"reason": "r", "instead_of": policy.current().digest}
    assert client.put("/api/v1/policy", {**bad, **said}, format="json").status_code == status
    assert not PolicyVersion.objects.exists()


def test_one_examiner_alone_is_refused_with_the_reason(api: Api):
    answer = api(administrator()).post("/api/v1/policy/preview", {"text": text(examiners="1").decode()}, format="json")
    assert "no lead rests on one person" in answer.json()["detail"]


def test_auditors_and_supervisors_read_it_and_nobody_else_does(api: Api):
    number = put_in_force(text(list_size="7")).pk
    reads = ["", "/versions", f"/versions/{number}"]
    said = {"text": text().decode(), "reason": "r", "instead_of": policy.current().digest}
    for role in (Role.AUDITOR, Role.SUPERVISOR):
        reader = api(UserFactory(roles=[role]))
        assert [reader.get(f"/api/v1/policy{path}").status_code for path in reads] == [200] * 3
        assert reader.put("/api/v1/policy", said, format="json").status_code == 403
        assert reader.post("/api/v1/policy/preview", said, format="json").status_code == 403
    for who in (investigator(), examiner(), clerk()):
        assert [api(who).get(f"/api/v1/policy{path}").status_code for path in reads] == [403] * 3
        assert api(who).put("/api/v1/policy", said, format="json").status_code == 403
    assert policy.current().list_size == 7
