"""Who reads the audit doesn't examine: it tells who examines what, and that two disagreed."""

import pytest

from mugsearch.accounts import services
from mugsearch.accounts.models import Role
from mugsearch.errors import BadInput, NotAllowed
from reviews import queries
from reviews import services as reviews
from tests.factories import AgencyFactory, UserFactory, administrator
from tests.reviews.arrange import finished_search

pytestmark = pytest.mark.django_db

BOTH = [Role.EXAMINER, Role.AUDITOR]


def test_nobody_is_given_both_roles() -> None:
    admin, user = administrator(), UserFactory(roles=[Role.EXAMINER])
    with pytest.raises(BadInput, match="both examines and audits"):
        services.set_roles(by=admin, user=user, roles=BOTH)
    with pytest.raises(BadInput, match="both examines and audits"):
        services.add_user(
            by=admin, username="b", full_name="B", agency=AgencyFactory(), password="a long passphrase 7", roles=BOTH
        )
    user.refresh_from_db()
    assert user.roles == {Role.EXAMINER}


def test_who_has_both_from_before_examines_nothing() -> None:
    finished_search()
    user = UserFactory(roles=BOTH, certified=True)
    assert not user.may_examine()
    assert not queries.awaiting_examination(by=user).exists()
    with pytest.raises(NotAllowed):
        reviews.claim_next(by=user)
