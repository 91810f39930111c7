"""Looking at probes and searches: each look leaves an entry, and a list of nothing tells nobody what there is."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from mugsearch.accounts.models import User
from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import Unavailable
from mugsearch.probes import views
from mugsearch.probes.models import Probe, Search
from mugsearch.vault import services as vault
from tests.factories import ProbeFactory, SearchFactory, investigator
from tests.fakes import synthetic_photo, synthetic_pixels
from tests.probes.test_submitting import PURPOSE

pytestmark = pytest.mark.django_db

Page = Callable[[User], Any]


@pytest.fixture
def search() -> Search:
    return SearchFactory()


def upload() -> SimpleUploadedFile:
    return SimpleUploadedFile("probe.png", synthetic_photo(7), content_type="image/png")


def looks(act: str) -> list[tuple[str, Any]]:
    return [(entry.object_id, entry.case) for entry in Entry.objects.filter(act=act)]


def test_seeing_a_probe_image_is_recorded_on_the_page_and_over_the_api(page: Page, api: Page, search: Search):
    probe = search.probe
    vault.create_key(probe.pk)
    vault.store_file(probe.pk, probe.pk, images.encode_png(synthetic_pixels(3)))
    me = probe.submitted_by

    assert page(me).get(f"/probes/{probe.pk}/image.jpg").status_code == 200
    assert api(me).get(f"/api/v1/probes/{probe.pk}/image").status_code == 200
    assert looks("probe.viewed") == [(str(probe.pk), probe.case_id)] * 2


@pytest.mark.parametrize(("state", "entries"), [("received", 0), ("ready", 1), ("no_face", 1), ("failed", 1)])
def test_asking_again_for_a_probe_is_a_look_once_the_worker_is_done(state: str, entries: int, page: Page):
    probe = ProbeFactory(state=state)
    page(probe.submitted_by).get(f"/probes/{probe.pk}", headers={"HX-Request": "true"})
    assert len(looks("probe.viewed")) == entries


def test_every_list_and_every_search_read_over_the_api_leaves_an_entry(api: Page, search: Search):
    probe, me = search.probe, search.requested_by
    for kind, obj in (("case", probe.case), ("probe", probe), ("search", search)):
        api(me).get(f"/api/v1/{kind}{'es' if kind == 'search' else 's'}")
        entry = Entry.objects.get(act=f"{kind}.listed")
        assert (entry.actor, entry.details["shown"]) == (me.pk, [str(obj.pk)])
    api(me).get(f"/api/v1/searches/{search.pk}")
    assert looks("search.viewed") == [(str(search.pk), probe.case_id)]


def test_a_filter_by_id_does_not_tell_whether_there_is_such_a_case_or_probe(api: Page, search: Search):
    stranger = api(investigator())
    for url, there in (("/api/v1/probes?case=", search.probe.case_id), ("/api/v1/searches?probe=", search.probe_id)):
        assert api(search.requested_by).get(f"{url}{there}").json()["count"] == 1
        for one in (there, uuid4()):
            answer = stranger.get(f"{url}{one}")
            assert (answer.status_code, answer.json()["count"]) == (200, 0)
        assert stranger.get(f"{url}none").status_code == 400


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_failed_search_is_not_tried_again_while_a_newer_one_is_under_way(state: str, page: Page, api: Page):
    failed = SearchFactory(state="failed")
    newer = SearchFactory(probe=failed.probe, state=state)
    me = failed.requested_by

    assert page(me).post(f"/searches/{failed.pk}/try-again").status_code == 409
    assert api(me).post(f"/api/v1/searches/{failed.pk}/try-again").status_code == 409
    Search.objects.filter(pk=newer.pk).update(state="failed")
    assert api(me).post(f"/api/v1/searches/{failed.pk}/try-again").status_code == 200


def test_a_busy_moment_keeps_what_was_typed(page: Page, monkeypatch: pytest.MonkeyPatch):
    def busy(**kwargs: Any) -> Probe:
        raise Unavailable("Too many images are being read; try again in a moment.")

    monkeypatch.setattr(views.services, "submit", busy)
    sent = {**vars(PURPOSE), "image": upload()}
    answer = page(investigator()).post("/probes/new", sent)

    assert answer.status_code == 503
    assert "try again in a moment" in answer.text
    assert PURPOSE.case_number in answer.text
    assert PURPOSE.source_detail in answer.text


def test_an_idempotency_key_is_printable(api: Page):
    sent = {**vars(PURPOSE), "image": upload()}
    answer = api(investigator()).post("/api/v1/probes", sent, format="multipart", headers={"Idempotency-Key": "a\0"})
    assert answer.status_code == 422
