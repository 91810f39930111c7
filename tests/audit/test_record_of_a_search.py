"""What the AI Act asks to be logged of a search is there, and nothing that says who anybody is."""

from typing import Any
from uuid import uuid4

import pytest

from mugsearch.accounts.models import User
from mugsearch.audit import services as audit
from mugsearch.auditing import search_record
from mugsearch.probes.models import Search
from tests.audit.opaque import require_opaque
from tests.factories import examiner
from tests.gallery_rows import enrol
from tests.probes.test_searching import searched
from tests.reviews.arrange import examine

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_query_tells_of_a_search_what_the_law_asks_for(fake_encoder: Any, django_assert_num_queries: Any) -> None:
    for number in range(3):
        enrol(number)
    search = searched(1)
    probe, by = search.probe, search.requested_by
    first, second = examiner(agency=by.agency), examiner(agency=by.agency)
    for person in (first, second):
        examine(person, search)
    search = Search.objects.get(pk=search.pk)
    with django_assert_num_queries(1):
        said = search_record.of(search.pk)
    assert said is not None
    assert (said.started_at, said.generation, said.gallery_size) == (
        search.started_at,
        search.generation,
        search.gallery_size,
    )
    assert (said.generation > 0, said.gallery_size) == (True, 3)
    assert said.finished_at >= search.started_at
    assert (said.encoder, said.encoder_digest, said.threshold) == (search.encoder.name, search.encoder.digest, None)
    assert said.probe_sha256 == probe.sha256
    assert (said.requested_by, said.examiners) == (by.pk, [first.pk, second.pk])
    people = User.objects.values_list("username", "full_name")
    require_opaque([probe.case.number, *(name for pair in people for name in pair)])


def test_a_search_that_is_not_finished_has_no_record_yet() -> None:
    assert search_record.of(uuid4()) is None


@pytest.mark.parametrize("leak", [{"said": "Ann Example"}, {"vector": [0.1] * 128}, {"image": "A" * 4000}])
def test_a_leak_into_the_record_would_be_found(leak: dict[str, Any]) -> None:
    audit.record("thing.done", by=None, **leak)
    with pytest.raises(AssertionError):
        require_opaque(["Ann Example"])
