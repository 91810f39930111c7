"""Who reads the audit doesn't examine: it tells who examines what, and that two disagreed."""

import threading

import pytest

from mugsearch.accounts import services
from mugsearch.accounts.models import Role, User
from mugsearch.errors import BadInput, NotAllowed
from reviews import queries
from reviews import services as reviews
from tests.accounts.arrange import at_once
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


@pytest.mark.django_db(transaction=True)
def test_nobody_gets_both_roles_from_two_administrators_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admins = [administrator(), administrator()]
    ready, told = threading.Barrier(2), [[Role.EXAMINER], [Role.AUDITOR]]
    monkeypatch.setattr(services, "_require_apart", lambda _: ready.wait(20))
    for _ in range(3):
        user, left = UserFactory(), [*zip(admins, told, strict=True)]

        def give(user: User = user, left: list[tuple[User, list[Role]]] = left) -> None:
            by, roles = left.pop()
            services.set_roles(by=by, user=User.objects.get(pk=user.pk), roles=roles)

        at_once(give, 2)
        assert len(User.objects.get(pk=user.pk).roles) == 1


def test_who_has_both_from_before_examines_nothing() -> None:
    finished_search()
    user = UserFactory(roles=BOTH, certified=True)
    assert not user.may_examine()
    assert not queries.awaiting_examination(by=user).exists()
    with pytest.raises(NotAllowed):
        reviews.claim_next(by=user)
