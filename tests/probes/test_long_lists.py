"""A long list asks PostgreSQL no more often than a short one."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mugsearch.accounts.models import Role
from tests.factories import CandidateFactory, CaseFactory, ProbeFactory, SearchFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/api/v1/probes", "/api/v1/searches"])
def test_the_api_asks_no_more_often_for_more_rows(path: str, api: Any) -> None:
    investigator = UserFactory(roles=[Role.INVESTIGATOR])
    case = CaseFactory(opened_by=investigator, members=[investigator])
    client = api(investigator)

    def asked(rows: int) -> int:
        for _ in range(rows):
            CandidateFactory(search=SearchFactory(probe=ProbeFactory(case=case, submitted_by=investigator)))
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).json()["results"]
        return len(queries)

    asked(1)  # some is read once per process
    assert asked(2) == asked(12)
