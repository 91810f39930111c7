import pytest

from mugsearch.accounts.models import Role, User
from tests import factories

pytestmark = pytest.mark.django_db

NEW = {"username": "new", "full_name": "New", "password": "a long enough passphrase", "roles": ["examiner"]}


CERTIFICATE = {"programme": "Faces", "issued_by": "Academy", "hours": 80}


def test_an_administrator_does_over_the_api_what_the_pages_do(api):
    admin = api(factories.administrator())
    agency = factories.AgencyFactory()
    made = admin.post("/api/v1/users", {**NEW, "agency": agency.code}, format="json")
    assert made.status_code == 201, made.json()
    assert "password" not in made.json()
    url = f"/api/v1/users/{made.json()['id']}"
    dates = {"issued_on": "2026-01-01", "expires_on": "2027-12-31"}
    certificate = admin.post(f"{url}/certificates", CERTIFICATE | dates, format="json")
    assert certificate.status_code == 201
    assert User.objects.get(username="new").may_examine()
    assert admin.put(f"{url}/roles", {"roles": ["auditor"]}, format="json").json()["roles"] == ["auditor"]
    assert admin.post(f"/api/v1/certificates/{certificate.json()['id']}/revoke").json()["revoked_at"]
    assert admin.put(f"{url}/active", {"active": False}, format="json").json()["is_active"] is False
    assert admin.get(url).json()["certificates"][0]["hours"] == 80


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_nobody_else_sees_or_changes_users(role, api):
    other = api(factories.UserFactory(roles=[role]))
    somebody = factories.examiner()
    assert other.get("/api/v1/users").status_code == 403
    assert other.get(f"/api/v1/users/{somebody.pk}").status_code == 403
    assert other.put(f"/api/v1/users/{somebody.pk}/roles", {"roles": []}, format="json").status_code == 403
    assert somebody.grants.count() == 1


def test_the_console_is_no_user_to_be_changed(api):
    from mugsearch.accounts.services import console

    assert api(factories.administrator()).get(f"/api/v1/users/{console().pk}").status_code == 404


def test_unknown_roles_and_backward_certificates_are_refused(api):
    admin, somebody = api(factories.administrator()), factories.examiner()
    assert admin.put(f"/api/v1/users/{somebody.pk}/roles", {"roles": ["king"]}, format="json").status_code == 400
    dates = {"issued_on": "2026-02-01", "expires_on": "2026-01-01"}
    backward = admin.post(
        f"/api/v1/users/{somebody.pk}/certificates",
        CERTIFICATE | dates,
        format="json",
    )
    assert backward.status_code == 422
