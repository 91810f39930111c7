"""Who is or was on a case, or asked for its search, doesn't disclose it as an auditor."""

from collections.abc import Callable

import pytest
from django.test import Client
from rest_framework.test import APIClient

from mugsearch.accounts.models import Role, RoleGrant, User
from mugsearch.audit.models import Entry
from tests.disclosure.arrange import supervisor, with_lead
from tests.factories import UserFactory, auditor

pytestmark = pytest.mark.django_db(transaction=True)

WHO_MAY = "Another auditor can make the bundle, or a supervisor of the case&#x27;s agency who never was on it."


def test_an_auditor_who_is_or_was_on_the_case_is_told_who_makes_its_bundle(
    page: Callable[[User], Client], api: Callable[[User], APIClient]
) -> None:
    search = with_lead()
    case, asked_for_it = search.probe.case, search.requested_by
    is_on_it, was_on_it = (UserFactory(roles=[Role.AUDITOR, Role.INVESTIGATOR]) for _ in range(2))
    case.members.add(is_on_it, was_on_it)
    case.members.remove(was_on_it)
    RoleGrant.objects.create(user=asked_for_it, role=Role.AUDITOR)
    for person in (is_on_it, was_on_it, User.objects.get(pk=asked_for_it.pk)):
        shown = page(person).get(f"/disclosure/searches/{search.pk}")
        assert (shown.status_code, WHO_MAY in shown.text, "Make the bundle" in shown.text) == (200, True, False)
        assert str(search.pk) not in page(person).get(f"/disclosure/?number={case.number}").text
        assert page(person).post(f"/disclosure/searches/{search.pk}/bundle").status_code == 403
        answer = api(person).post(f"/api/v1/searches/{search.pk}/disclosure")
        assert (answer.status_code, "Another auditor can" in answer.text) == (403, True)
    refused = Entry.objects.filter(act="bundle.made")
    assert set(refused.values_list("outcome", flat=True)) == {"refused"}
    for person in (auditor(), supervisor()):
        assert "Make the bundle" in page(person).get(f"/disclosure/searches/{search.pk}").text
