import numpy as np
import pytest

from mugsearch.audit.models import Entry
from mugsearch.engine import encoders
from mugsearch.errors import Unavailable, WrongState
from mugsearch.gallery import encoding, importing, live, manifest, reencoding, sources
from mugsearch.gallery.models import Encoder, ImportRun, Template
from mugsearch.probes import services, working
from mugsearch.probes.models import Probe, Search
from tests.factories import AgencyFactory, clerk, investigator
from tests.fakes import FakeEncoder
from tests.gallery_rows import enrol, vector_of
from tests.probes.test_searching import searched
from tests.probes.test_submitting import PURPOSE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake_encoder")]


class OtherEncoder(FakeEncoder):
    """Its vectors are those of FakeEncoder, backwards: comparing across the two gives nonsense."""

    name = "fake/other"
    digest = "e" * 64

    def embed(self, pixels, face):
        return np.ascontiguousarray(super().embed(pixels, face)[::-1])


@pytest.fixture
def other(monkeypatch, settings):
    monkeypatch.setitem(encoders.ENCODERS, "other", lambda _: OtherEncoder())
    yield
    encoding._load.cache_clear()


def test_the_old_encoder_answers_until_every_photo_is_encoded_anew(other, settings, monkeypatch):
    photos = [enrol(person) for person in range(20)]
    old = encoding.active()
    settings.MUGSEARCH_ENCODER = "other"

    seen = []

    def look(progress):
        seen.append((progress.done, progress.total, encoding.active().name))
        assert searched(3).candidates.get(rank=1).photo == photos[3]

    new = reencoding.reencode(look)
    assert seen == [(16, 20, old.name), (20, 20, old.name)]
    assert encoding.active() == new != old
    search = searched(3)
    assert search.encoder == new
    assert search.candidates.get(rank=1).photo == photos[3]
    assert search.candidates.get(rank=1).score > 0.5


def test_vectors_of_different_encoders_never_meet_in_one_search(other, settings):
    for person in range(3):
        enrol(person)
    settings.MUGSEARCH_ENCODER = "other"
    reencoding._encode(
        reencoding._prepare(encoding.active()), OtherEncoder(), list(reencoding._missing(Encoder.objects.last()))
    )
    assert Template.objects.count() == 6
    assert searched(1).gallery_size == 3


def test_after_the_change_nothing_of_the_old_encoder_is_left(other, settings):
    template = enrol(1).templates.get()
    live.catch_up(template.encoder)
    settings.MUGSEARCH_ENCODER = "other"
    new = reencoding.reencode()
    assert not Template.objects.filter(encoder=template.encoder).exists()
    live.catch_up(new)
    assert [folder.name for folder in settings.INDEX_DIR.iterdir()] == [new.digest[:16]]
    assert Entry.objects.filter(act="encoder.activated", details__before=template.encoder.digest).exists()


def test_a_killed_change_goes_on_where_it_stopped(other, settings, monkeypatch):
    for person in range(20):
        enrol(person)
    settings.MUGSEARCH_ENCODER = "other"

    def die(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reencoding.reencode(die)
    preparing = Encoder.objects.get(state=Encoder.State.PREPARING)
    done = set(Template.objects.filter(encoder=preparing).values_list("pk", flat=True))
    assert len(done) == 16
    reencoding.reencode()
    assert done < set(Template.objects.filter(encoder=preparing).values_list("pk", flat=True))


def test_a_change_that_was_given_up_meanwhile_leaves_the_old_encoder_answering(other, settings):
    enrol(1)
    old = encoding.active()
    settings.MUGSEARCH_ENCODER = "other"

    def give_up(progress):
        Encoder.objects.filter(state=Encoder.State.PREPARING).update(state=Encoder.State.RETIRED)

    with pytest.raises(WrongState, match="no longer being prepared"):
        reencoding.reencode(give_up)
    assert encoding.active() == old
    assert searched(1).candidates.count() == 1
    assert reencoding.reencode() == encoding.active() != old


def test_a_retired_encoder_never_answers():
    enrol(1)
    Encoder.objects.update(state=Encoder.State.RETIRED)
    with pytest.raises(Unavailable, match="No encoder is active"):
        encoding.active()


def test_with_nothing_to_do_it_does_nothing():
    enrol(1)
    entries = Entry.objects.count()
    assert reencoding.reencode() == encoding.active()
    assert Entry.objects.count() == entries


def test_a_search_under_way_while_the_encoder_changes_is_searched_again(other, settings, monkeypatch):
    enrol(1)
    enrol(2)
    settings.MUGSEARCH_ENCODER = "other"
    catch_up = live.catch_up

    def change_meanwhile(encoder):
        index = catch_up(encoder)
        monkeypatch.setattr(live, "catch_up", catch_up)
        reencoding.reencode()
        return index

    monkeypatch.setattr(live, "catch_up", change_meanwhile)
    search = searched(1)
    assert search.state == Search.State.QUEUED
    working.run_search(search.pk)
    search.refresh_from_db()
    assert search.state == Search.State.DONE
    assert search.candidates.count() == 2


def test_a_vector_keeps_the_face_a_clerk_picked():
    photo = enrol(1)
    assert np.allclose(vector_of(photo.templates.get()), FakeEncoder().embed(*_pixels_and_face(photo)))


def _pixels_and_face(photo):
    from mugsearch.engine import images
    from mugsearch.engine.encoders import Face
    from mugsearch.vault import services as vault

    return images.read_png(vault.read_file(photo.booking_id, photo.pk)), Face.from_dict(photo.face)


@pytest.mark.models
@pytest.mark.shared
def test_a_gallery_of_mugshots_moves_to_an_insightface_pack_and_is_searched_with_it(shared, settings):
    folder = shared / "data" / "meds"
    lines = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    settings.MUGSEARCH_ENCODER = "opencv"
    importing.run_here(
        by=clerk(),
        agency=AgencyFactory(),
        several=ImportRun.Several.ONLY,
        manifest=manifest.read("".join(lines[:1] + lines[2:14]).encode()),
        source=sources.Folder(folder),
    )
    settings.MUGSEARCH_ENCODER = f"insightface:{shared / 'data' / 'insightface-pack'}"
    new = reencoding.reencode()
    assert new.name.startswith("insightface")
    assert "non-commercial" in new.licence
    probe = services.submit(by=investigator(), purpose=PURPOSE, image=(folder / lines[1].split(",")[0]).read_bytes())
    working.find_faces(probe.pk)
    search = services.search(by=probe.submitted_by, probe=Probe.objects.get(pk=probe.pk), face=0)
    working.run_search(search.pk)
    search.refresh_from_db()
    assert search.encoder == new
    assert search.candidates.get(rank=1).person.person_id == lines[1].split(",")[1]
