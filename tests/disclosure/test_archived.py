"""A search whose entries have left for the archive has no bundle, and whoever asks is told where the entries are."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mugsearch.accounts.models import User
from mugsearch.accounts.services import console
from mugsearch.audit.models import SignedHead
from mugsearch.auditing import archiving
from mugsearch.disclosure import queries
from mugsearch.probes.models import Probe, Search
from tests.audit.arrange import old_entries
from tests.disclosure.arrange import bundle_of, examined, searched
from tests.factories import auditor
from tests.triggers import as_owner, past_the_triggers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _owner(transactional_db: None) -> Iterator[None]:
    """The command that archives acts as the owner of the tables."""
    with as_owner():
        yield


def of_days_ago(days: int) -> Search:
    search = searched()
    examined(search, same=())
    with past_the_triggers():
        Probe.objects.filter(pk=search.probe_id).update(submitted_at=timezone.now() - timedelta(days=days))
    return Search.objects.get(pk=search.pk)


def a_head(number: int, *, days: int) -> None:
    SignedHead.objects.create(
        serial=SignedHead.objects.count() + 1, number=number, at=timezone.now() - timedelta(days=days)
    )


def test_whoever_asks_for_a_bundle_whose_entries_are_archived_is_told_which_files_hold_them(
    page: Callable[[User], Client], settings: Any, tmp_path: Path
) -> None:
    old_entries(30, days=900)
    settings.MUGSEARCH_AUDIT_KEPT_DAYS = 800
    old_entries(20, days=500)
    first = archiving.archive(by=console(), folder=tmp_path)
    settings.MUGSEARCH_AUDIT_KEPT_DAYS = 365
    second = archiving.archive(by=console(), folder=tmp_path)
    young, early, late = of_days_ago(0), of_days_ago(901), of_days_ago(501)
    assert queries.archives_of(late) == [first.file, second.file], "nothing tells when the first ended"
    a_head(30, days=700)
    assert bundle_of(young)
    for search, files in ((early, f"{first.file} and {second.file}"), (late, second.file)):
        shown = page(auditor()).get(f"/disclosure/searches/{search.pk}").text
        assert f"Ask the operator for {files} and the head" in shown
        assert (f"name this search as {search.pk}" in shown, "Make the bundle" in shown) == (True, False)
        refused = page(auditor()).post(f"/disclosure/searches/{search.pk}/bundle")
        assert (refused.status_code, files in refused.text) == (409, True)
