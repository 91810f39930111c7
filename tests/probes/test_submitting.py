import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import connection

from mugsearch.accounts.models import Role
from mugsearch.audit.models import Entry
from mugsearch.engine import images
from mugsearch.errors import BadImage, BadInput, NotAllowed, WrongState
from mugsearch.gallery.models import Photo, Template
from mugsearch.probes import services, sharing
from mugsearch.probes.models import Case, Probe, Search
from mugsearch.probes.services import Purpose
from mugsearch.vault import services as vault
from tests import factories
from tests.fakes import synthetic_photo

pytestmark = pytest.mark.django_db

PURPOSE = Purpose(
    case_number="26-000123",
    offence="robbery",
    legal_basis="reasonable-suspicion",
    source="cctv-still",
    source_detail="Camera at the entrance, 3 May",
    attested=True,
)


def test_an_investigator_uploads_one_image_under_a_case(queued, django_capture_on_commit_callbacks):
    me = factories.investigator()
    with django_capture_on_commit_callbacks(execute=True):
        probe = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7))
    assert probe.case.number == "26-000123"
    assert list(probe.case.members.all()) == [me]
    stored = images.read_png(vault.read_file(probe.pk, probe.pk))
    assert stored.shape == (probe.height, probe.width, 3)
    assert ("mugsearch.probes.tasks.find_faces", (str(probe.pk),)) in queued
    entry = Entry.objects.of(probe).get()
    assert (entry.act, entry.outcome, entry.case) == ("probe.submitted", "done", probe.case_id)
    assert entry.details["sha256"] == probe.sha256


def test_a_probe_is_never_enrolled_in_the_gallery():
    services.submit(by=factories.investigator(), purpose=PURPOSE, image=synthetic_photo(7))
    assert not Photo.objects.exists()
    assert not Template.objects.exists()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.INVESTIGATOR])
def test_only_investigators_submit_and_the_refusal_is_recorded(role):
    other = factories.UserFactory(roles=[role], certified=True)
    with pytest.raises(NotAllowed):
        services.submit(by=other, purpose=PURPOSE, image=synthetic_photo(7))
    assert not Probe.objects.exists()
    assert Entry.objects.filter(actor=other.pk, act="probe.submitted", outcome="refused").count() == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"case_number": "  "}, "case number"),
        ({"offence": "jaywalking"}, "offence"),
        ({"legal_basis": "curiosity"}, "legal basis"),
        ({"source": "internet"}, "source"),
        ({"source": "sketch"}, "Sketch"),
        ({"source": "generated"}, "Generated"),
        ({"source": "live-video"}, "Live video"),
        ({"source_detail": ""}, "where the image came from"),
        ({"attested": False}, "attestation"),
    ],
)
def test_nothing_is_taken_without_a_full_and_allowed_purpose(change, says):
    with pytest.raises(BadInput, match=says):
        services.submit(by=factories.investigator(), purpose=replace(PURPOSE, **change), image=synthetic_photo(7))
    assert not Case.objects.exists()
    assert not vault.files()


def test_a_truncated_photo_is_refused_with_a_sentence_and_nothing_is_stored():
    me = factories.investigator()
    with pytest.raises(BadImage) as refusal:
        services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7)[:2000])
    assert refusal.value.message.endswith(".")
    assert not Case.objects.exists()
    assert not vault.files()


def test_the_same_idempotency_key_is_one_probe():
    me = factories.investigator()
    first = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7), idempotency_key="k")
    again = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7), idempotency_key="k")
    other = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7), idempotency_key="k2")
    assert first == again != other


@pytest.mark.django_db(transaction=True)
def test_twenty_uploads_at_once_with_one_key_are_one_probe():
    me, results = factories.investigator(), []

    def upload() -> None:
        try:
            results.append(services.submit(by=me, purpose=PURPOSE, image=photo, idempotency_key="k").pk)
        finally:
            connection.close()

    photo = synthetic_photo(7)
    threads = [threading.Thread(target=upload) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(results) == 20
    assert set(results) == set(Probe.objects.values_list("pk", flat=True))
    assert Probe.objects.count() == 1


def test_a_case_is_its_members_and_others_cannot_search_under_it():
    services.submit(by=factories.investigator(), purpose=PURPOSE, image=synthetic_photo(7))
    with pytest.raises(NotAllowed, match="share"):
        services.submit(by=factories.investigator(), purpose=PURPOSE, image=synthetic_photo(7))


def test_a_shared_case_is_open_to_the_colleague_and_sharing_is_recorded():
    me, colleague = factories.investigator(), factories.investigator()
    probe = services.submit(by=me, purpose=PURPOSE, image=synthetic_photo(7))
    sharing.share(by=me, case=probe.case, username=colleague.username)
    assert Probe.objects.visible_to(colleague).get() == probe
    assert Entry.objects.filter(act="case.shared", details__with_user=str(colleague.pk)).exists()


def test_a_case_is_not_shared_outside_the_agency_without_a_reason_or_by_a_stranger():
    probe = services.submit(by=factories.investigator(), purpose=PURPOSE, image=synthetic_photo(7))
    elsewhere = factories.investigator(agency=factories.AgencyFactory(code="shelbyville"))
    with pytest.raises(BadInput):
        sharing.share(by=probe.submitted_by, case=probe.case, username=elsewhere.username)
    with pytest.raises(NotAllowed):
        sharing.share(by=elsewhere, case=probe.case, username=elsewhere.username)


def test_a_search_is_queued_with_the_face_picked(queued, django_capture_on_commit_callbacks):
    probe = factories.ProbeFactory()
    with django_capture_on_commit_callbacks(execute=True):
        search = services.search(by=probe.submitted_by, probe=probe, face=0)
    assert (search.state, search.list_size) == (Search.State.QUEUED, 20)
    assert ("mugsearch.probes.tasks.run_search", (str(search.pk),)) in queued
    entry = Entry.objects.of(search).get()
    assert entry.details["mode"] == "investigation"
    assert entry.details["quality"] == 80


@pytest.mark.parametrize("size", [0, 1, 51, 1000])
def test_the_list_holds_between_2_and_50_people(size):
    probe = factories.ProbeFactory()
    with pytest.raises(BadInput):
        services.search(by=probe.submitted_by, probe=probe, face=0, list_size=size)


@pytest.mark.parametrize("face", [-1, 1, 99])
def test_only_a_face_that_was_found_can_be_searched(face):
    probe = factories.ProbeFactory()
    with pytest.raises(BadInput):
        services.search(by=probe.submitted_by, probe=probe, face=face)


def test_a_probe_without_a_face_cannot_be_searched():
    probe = factories.ProbeFactory(state=Probe.State.NO_FACE, faces=[])
    with pytest.raises(WrongState):
        services.search(by=probe.submitted_by, probe=probe, face=0)


@pytest.mark.django_db(transaction=True)
def test_two_clicks_on_search_are_one_search():
    probe, refused = factories.ProbeFactory(), []

    def click() -> None:
        try:
            services.search(by=probe.submitted_by, probe=probe, face=0)
        except WrongState as error:
            refused.append(error.message)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert Search.objects.count() == 1
    assert len(refused) == 7


@pytest.mark.django_db(transaction=True)
def test_trying_again_and_searching_anew_at_once_are_one_search():
    failed, answers = factories.SearchFactory(state="failed"), []
    me, probe = failed.requested_by, failed.probe

    def click(act: Callable[[], Search]) -> None:
        try:
            answers.append(act().state)
        except Exception as error:  # noqa: BLE001  # shown by the assertion
            answers.append(type(error).__name__)
        finally:
            connection.close()

    acts = [
        lambda: services.try_again(by=me, search=Search.objects.get(pk=failed.pk)),
        lambda: services.search(by=me, probe=Probe.objects.get(pk=probe.pk), face=0),
    ] * 4
    threads = [threading.Thread(target=click, args=[act]) for act in acts]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(answers) == ["WrongState"] * 7 + ["queued"]
