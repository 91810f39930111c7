"""SECURITY.md, Access: idle and absolute limits, sessions that end at once, and confirming before sensitive acts."""

import datetime
import hashlib
import uuid
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from mugsearch.accounts import factors, services, signing, sittings, tasks
from mugsearch.accounts.models import Role, Sitting, User
from mugsearch.audit.models import Entry
from mugsearch.errors import NotAllowed
from mugsearch.probes import policy
from mugsearch.retention.models import ExpungementOrder
from tests import factories
from tests.accounts.arrange import a_code_that_is_wrong, give_password, is_in, with_factor
from tests.factories import PASSWORD, code_of, second_factor, sign_in, with_banner

pytestmark = pytest.mark.django_db

POLL = {"HTTP_HX_REQUEST": "true"}


def ago(**how_long: float) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(**how_long)


def set_back(user: User, **columns: Any) -> None:
    Sitting.objects.filter(user=user).update(**columns)


def reasons() -> list[str]:
    return [entry.details["reason"] for entry in Entry.objects.filter(act="session.ended").order_by("number")]


# ------------------------------------------------------------------ limits


def test_a_session_nobody_used_for_thirty_minutes_is_over(page):
    user = factories.clerk()
    client = page(user)
    set_back(user, active_at=ago(minutes=29, seconds=50))
    assert is_in(client)
    set_back(user, active_at=ago(minutes=30))
    assert client.get("/gallery/people/").headers["Location"].startswith("/sign-in")
    assert (reasons(), Sitting.objects.count(), Session.objects.count()) == (["idle"], 0, 0)


def test_a_page_that_refreshes_itself_is_not_activity_and_is_told_when_it_is_over(page):
    user = factories.clerk()
    client = page(user)
    then = ago(minutes=29)
    set_back(user, active_at=then)
    assert client.get("/account", **POLL).status_code == 200
    assert Sitting.objects.get(user=user).active_at == then
    set_back(user, active_at=ago(minutes=31))
    answer = client.get("/account", **POLL)
    assert (answer.headers["HX-Redirect"], answer.content) == ("/locked", b"")
    assert not is_in(client)


def test_what_a_person_does_and_typing_count_as_activity(page):
    user = factories.clerk()
    client = page(user)
    for ask in (lambda: client.get("/account"), lambda: client.post("/active")):
        set_back(user, active_at=ago(minutes=29))
        assert ask().status_code in (200, 204)
        assert Sitting.objects.get(user=user).active_at > ago(minutes=1)


def test_a_script_that_saves_in_a_session_that_is_over_is_told_so(page):
    user = factories.clerk()
    client = page(user)
    set_back(user, active_at=ago(minutes=31))
    answer = client.post("/active", HTTP_X_REQUESTED_WITH="fetch")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


def test_after_twelve_hours_a_session_is_over_however_busy(page):
    user = factories.clerk()
    client = page(user)
    set_back(user, started_at=ago(hours=11, minutes=59))
    assert is_in(client)
    set_back(user, started_at=ago(hours=12))
    assert not is_in(client)
    assert reasons() == ["absolute"]


def test_the_api_in_a_browser_keeps_the_same_limits(api):
    user = factories.clerk()
    client = api(user)
    assert client.get("/api/v1/me").status_code == 200
    set_back(user, active_at=ago(minutes=31))
    assert client.get("/api/v1/me").status_code == 401


def test_the_locked_page_ends_the_session(page):
    user = factories.clerk()
    client = page(user)
    assert client.get("/locked").status_code == 200
    assert is_in(client)
    client.post("/locked")
    assert not is_in(client)
    assert reasons() == ["idle"]


def test_the_night_forgets_sessions_that_are_over_and_no_other(page):
    gone, old, busy = factories.clerk(), factories.clerk(), factories.clerk()
    clients = [page(user) for user in (gone, old, busy)]
    set_back(gone, active_at=ago(minutes=31))
    set_back(old, started_at=ago(hours=13))
    tasks.disable_idle()
    assert list(Sitting.objects.values_list("user", flat=True)) == [busy.pk]
    assert Session.objects.count() == 1
    assert is_in(clients[2])


# ------------------------------------------------------------------ ending


ENDINGS = {
    "signing out here does not, but the administrator": lambda admin, user: sittings.end(
        by=admin, sitting_id=user.sittings.first().pk
    ),
    "disabling": lambda admin, user: services.set_active(by=admin, user=user, active=False),
    "another role": lambda admin, user: services.set_roles(by=admin, user=user, roles=[Role.SUPERVISOR]),
    "another password": lambda admin, user: services.set_password(
        by=admin, user=user, password="a long new passphrase"
    ),
    "a reset of the second factor": lambda admin, user: factors.reset(by=admin, user=user),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_these_end_a_session_at_once(ending, page):
    user = with_factor(roles=[Role.RECORDS])
    client = page(user)
    assert is_in(client)
    ending(factories.administrator(), user)
    assert not is_in(client)


@pytest.mark.parametrize("ending", list(ENDINGS.values())[1:], ids=list(ENDINGS)[1:])
def test_these_end_every_session_of_the_person_and_of_nobody_else(ending, page):
    user, other = with_factor(roles=[Role.RECORDS]), with_factor()
    clients = [page(user), page(user)]
    beside = page(other)
    ending(factories.administrator(), user)
    assert [is_in(client) for client in clients] == [False, False]
    assert is_in(beside)


def test_signing_out_in_one_browser_ends_that_session_and_leaves_the_other(page):
    user = factories.clerk()
    here, there = page(user), page(user)
    key = here.session.session_key
    here.post("/sign-out")
    assert not is_in(here)
    assert not Session.objects.filter(session_key=key).exists()
    assert is_in(there)
    assert reasons() == ["signed_out"]


def test_one_sees_one_s_sessions_and_ends_one_of_them(page):
    user = with_factor()
    there = Client(HTTP_USER_AGENT="Firefox on the other desk", REMOTE_ADDR="203.0.113.9")
    sign_in(there, user)
    here = page(user)
    shown = here.get("/account").content.decode()
    assert "Firefox on the other desk" in shown
    assert "203.0.113.9" in shown
    other = Sitting.objects.get(address="203.0.113.9")
    here.post(f"/sessions/{other.pk}/end")
    assert (is_in(here), is_in(there)) == (True, False)
    assert Entry.objects.get(act="session.ended").object_id == str(user.pk)


def test_nobody_but_an_administrator_sees_or_ends_sessions_of_others(page, api):
    user, other, admin = factories.clerk(), factories.clerk(), factories.administrator()
    theirs = page(user)
    sitting = user.sittings.get()
    assert page(other).post(f"/sessions/{sitting.pk}/end").status_code == 404
    assert api(other).delete(f"/api/v1/sessions/{sitting.pk}").status_code == 404
    assert api(other).get(f"/api/v1/users/{user.pk}/sessions").status_code == 403
    assert [one["id"] for one in api(user).get("/api/v1/sessions").json()["results"]].count(str(sitting.pk)) == 1
    assert str(sitting.pk) not in str(api(other).get("/api/v1/sessions").json())
    with pytest.raises(NotAllowed):
        sittings.end(by=other, sitting_id=sitting.pk)
    assert is_in(theirs)
    assert str(sitting.pk) in str(api(admin).get(f"/api/v1/users/{user.pk}/sessions").json())
    assert api(admin).delete(f"/api/v1/sessions/{sitting.pk}").status_code == 204
    assert not is_in(theirs)


def test_the_key_of_a_session_is_shown_nowhere(page, api):
    user = factories.administrator()
    client = page(user)
    key = client.session.session_key
    for answer in (client.get("/account"), client.get(f"/users/{user.pk}"), api(user).get("/api/v1/sessions")):
        assert answer.status_code == 200
        assert key not in answer.content.decode()


# ------------------------------------------------------------------ confirming


def stale(client: Client, user: User) -> Client:
    set_back(user, confirmed_at=ago(minutes=15))
    return client


@pytest.mark.parametrize(
    "path", ["/users/", "/account/codes", "/account/tokens", "/account/password", "/sign-in/enrol"]
)
def test_a_stale_session_confirms_before_it_sees_the_form(path, page):
    user = factories.administrator()
    second_factor(user)
    client = stale(page(user), user)
    sent = client.get(path)
    assert (sent.status_code, sent.headers["Location"].startswith("/confirm?next=")) == (302, True)
    back = client.post("/confirm", {"password": PASSWORD, "next": path})
    assert back.headers["Location"] == path
    assert client.get(path).status_code == 200
    assert Entry.objects.filter(act="session.confirmed", outcome="done", actor=user.pk).count() == 1


ACTS = [
    (Role.ADMINISTRATOR, "/users/{user}/roles", {"roles": ["auditor"]}),
    (Role.ADMINISTRATOR, "/users/{user}/active", {"active": "no"}),
    (Role.ADMINISTRATOR, "/users/{user}/unlock", {}),
    (Role.ADMINISTRATOR, "/users/{user}/reset-second-factor", {}),
    (Role.RECORDS, "/expungements/{user}/approve", {}),
    (Role.AUDITOR, "/audit/export", {}),
    (Role.AUDITOR, "/disclosure/searches/{user}/bundle", {}),
    (Role.RECORDS, "/expungements/new?booking={user}", None),
    (Role.RECORDS, "/gallery/imports/{user}/rejects.csv", None),
    (Role.INVESTIGATOR, "/reviews/leads/{user}/lineups", {}),
    (Role.INVESTIGATOR, "/reviews/leads/{user}/lineups/{user}", None),
]


@pytest.mark.parametrize(("role", "path", "body"), ACTS, ids=[path for _, path, _ in ACTS])
def test_purging_changing_roles_and_exporting_wait_until_a_stale_session_has_confirmed(role, path, body, page):
    user, about = factories.UserFactory(roles=[role]), with_factor(roles=[Role.RECORDS])
    client = stale(page(user), user)
    before = Entry.objects.count()
    came = f"http://testserver/users/{about.pk}"
    path = path.format(user=about.pk)
    sent = client.get(path) if body is None else client.post(path, body, HTTP_REFERER=came)
    if sent.status_code == 405:
        sent = client.get(path)
    assert sent.headers["Location"].startswith("/confirm?next="), sent.status_code
    about.refresh_from_db()
    assert (about.roles, about.is_active, factors.has_one(about)) == ({Role.RECORDS}, True, True)
    assert Entry.objects.count() == before


def test_a_button_that_was_pressed_too_late_leads_back_to_its_page(page):
    user, about = factories.administrator(), factories.clerk()
    client = stale(page(user), user)
    sent = client.post(
        f"/users/{about.pk}/active", {"active": "no"}, HTTP_REFERER=f"http://testserver/users/{about.pk}?page=2"
    )
    assert sent.headers["Location"] == f"/confirm?next=%2Fusers%2F{about.pk}%3Fpage%3D2"
    assert "Nothing was changed yet" in client.get(sent.headers["Location"]).content.decode()


def test_nobody_is_led_to_another_site_after_confirming(page):
    user = factories.administrator()
    client = stale(page(user), user)
    sent = client.post("/confirm", {"password": PASSWORD, "next": "https://example.org/"})
    assert sent.headers["Location"] == "/"


def test_the_api_in_a_stale_session_says_what_to_do(api):
    user, about = factories.administrator(), factories.clerk()
    client = stale(api(user), user)
    answer = client.put(f"/api/v1/users/{about.pk}/roles", {"roles": []}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "confirm_first")
    assert client.get("/api/v1/users").status_code == 200
    auditor = factories.auditor()
    assert stale(api(auditor), auditor).get("/api/v1/audit/export").json()["code"] == "confirm_first"
    clerk, officer, lead = factories.clerk(), factories.investigator(), uuid.uuid4()
    late = stale(api(clerk), clerk)
    assert late.post("/api/v1/expungements", {}, format="json").json()["code"] == "confirm_first"
    assert late.get("/api/v1/expungements").status_code == 200
    assert stale(api(officer), officer).post(f"/api/v1/leads/{lead}/lineups").json()["code"] == "confirm_first"


def test_the_yearly_report_is_read_without_confirming_and_taken_out_with_it(page):
    user = factories.auditor()
    client = stale(page(user), user)
    assert client.get("/audit/report").status_code == 200
    assert client.get("/audit/report?as=csv").headers["Location"].startswith("/confirm")


def test_an_order_that_is_asked_for_too_late_keeps_what_was_typed(page):
    clerk, booking = factories.clerk(), factories.BookingFactory()
    client = page(clerk)
    path = f"/expungements/new?booking={booking.pk}"
    assert client.get(path).status_code == 200
    stale(client, clerk)
    typed = {"order_number": "26-CV-0417", "reason": "Order of the district court"}
    late = client.post(path, typed)
    assert late.status_code == 422
    assert 'href="/confirm" target="_blank"' in late.text
    assert all(text in late.text for text in typed.values())
    assert not ExpungementOrder.objects.exists()
    assert client.post("/confirm", {"password": PASSWORD}).status_code == 302
    assert client.post(path, typed).status_code == 302
    assert ExpungementOrder.objects.get().order_number == "26-CV-0417"


def test_a_policy_is_changed_only_after_confirming_and_keeps_what_was_chosen(page, api):
    admin = factories.administrator()
    client, before = page(admin), policy.current()
    new = policy.of_installation() + b"# Council decision 7\n"
    digest, said = hashlib.sha256(new).hexdigest(), {"reason": "Council decision 7"}

    def proposed() -> Any:
        return client.post("/policy/effects", {"file": SimpleUploadedFile("policy.toml", new), **said})

    kept = proposed().context["form"].initial
    stale(client, admin)
    late = proposed()
    assert (late.status_code, "Council decision 7" in late.text) == (403, True)
    assert 'href="/confirm" target="_blank"' in late.text
    late = client.post("/policy/change", kept)
    assert (late.status_code, late.context["form"].initial) == (403, kept)
    assert 'href="/confirm" target="_blank"' in late.text
    told = {"text": new.decode(), "instead_of": before.digest, **said}
    answer = stale(api(admin), admin).put("/api/v1/policy", told, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "confirm_first")
    assert policy.current().digest == before.digest
    client.post("/confirm", {"password": PASSWORD})
    assert client.post("/policy/change", kept).status_code == 302
    assert policy.current().digest == digest


def test_confirming_takes_the_password_or_a_code_and_a_code_only_once(page):
    user = with_factor(roles=[Role.ADMINISTRATOR])
    client = stale(page(user), user)
    code = code_of(user)
    assert client.post("/confirm", {"code": code, "next": "/users/"}).headers["Location"] == "/users/"
    stale(client, user)
    assert client.post("/confirm", {"code": code, "next": "/users/"}).status_code == 200
    assert client.get("/users/").status_code == 302
    assert client.post("/confirm", {"next": "/users/"}).status_code == 200


def test_failing_to_confirm_counts_locks_and_ends_the_session(page):
    user = with_factor(roles=[Role.ADMINISTRATOR])
    client = stale(page(user), user)
    assert signing.check_password(user.username, "wrong") is None
    for told in ({"password": "wrong"}, {"code": a_code_that_is_wrong(user)}, {"password": "x"}):
        assert client.post("/confirm", told).status_code == 200
    assert client.post("/confirm", {"password": "y"}).headers["Location"] == "/sign-in"
    assert not is_in(client)
    assert signing.check_password(user.username, PASSWORD) is None


# ------------------------------------------------------------------ what is not there


def test_there_is_no_django_admin_and_no_page_of_allauth_s():
    names = {pattern.name for pattern in _all(get_resolver().url_patterns)}
    assert not [name for name in names if name and name.startswith(("account_", "mfa_", "admin"))]
    assert "admin" not in get_resolver().namespace_dict
    for path in ("/admin/", "/accounts/login/", "/accounts/signup/", "/accounts/2fa/"):
        assert Client().get(path).status_code == 404, path


def _all(patterns: Any) -> Any:
    for pattern in patterns:
        yield from _all(pattern.url_patterns) if hasattr(pattern, "url_patterns") else [pattern]


@pytest.mark.parametrize("how", ["elsewhere", "by signing out in another window"])
def test_a_page_that_is_open_when_its_session_ends_gives_way_to_the_locked_page(page, how):
    """A refresh would otherwise follow to the sign-in page and show it in the middle of a page with faces."""
    client = page(factories.investigator())
    if how == "elsewhere":
        sittings.end_all(User.objects.get())
    else:
        client.post("/sign-out")
    refresh = client.get("/cases/", headers={"HX-Request": "true"})
    assert refresh.headers["HX-Redirect"] == "/locked"
    for path in ("/active", "/reviews/00000000-0000-4000-8000-000000000000/findings"):
        saved = client.post(path, headers={"X-Requested-With": "fetch"})
        assert (saved.status_code, saved.json()["code"]) == (401, "session_ended")


def test_images_of_a_page_that_refreshes_itself_are_not_activity(page):
    before = ago(minutes=20)
    client = factories.signed_in(Client(), factories.investigator(), active_at=before)
    client.get("/probes/00000000-0000-4000-8000-000000000000/image", headers={"Sec-Fetch-Dest": "image"})
    assert Sitting.objects.get().active_at == before
    client.get("/cases/", headers={"Sec-Fetch-Dest": "document"})
    assert Sitting.objects.get().active_at > before


@pytest.mark.parametrize("change", ["disabled", "locked", "password", "factor"])
def test_nobody_gets_in_whose_account_was_changed_while_the_code_was_looked_at(monkeypatch, change):
    user, client = with_factor(), with_banner(Client())
    give_password(client, user)
    right = signing.check_factor

    def and_then(found, told, **more):
        kind = right(found, told, **more)
        others = User.objects.filter(pk=user.pk)
        if change == "factor":
            factors.reset(by=factories.administrator(), user=user)
        elif change == "password":
            others.update(password="another")
        else:
            others.update(**({"is_active": False} if change == "disabled" else {"locked_at": timezone.now()}))
        return kind

    monkeypatch.setattr(signing, "check_factor", and_then)
    assert client.post("/sign-in/code", {"code": code_of(user)}).status_code == 403
    assert not user.sittings.exists()
