"""What a bundle says of somebody whose booking is sealed: withheld, not destroyed, and back when it is unsealed."""

import json
from pathlib import Path

import jsonschema
import pytest

from mugsearch.disclosure import services
from mugsearch.errors import WrongState
from mugsearch.probes.models import SiblingPhoto
from tests.disclosure.arrange import bundle_of, content_of, files_of, unpacked, verified, with_lead
from tests.factories import auditor
from tests.gallery_rows import enrol
from tests.retention.arrange import sealed, unsealed
from tests.reviews.arrange import candidate

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sealed_place_is_withheld_and_not_called_destroyed_and_shown_again_when_it_is_unsealed(
    tmp_path: Path, fake_encoder: object
) -> None:
    search = with_lead()
    place = candidate(search)
    assert place.photo
    assert place.person
    booking, name = place.photo.booking, place.person.person_id
    assert name.encode() in bundle_of(search)
    sealed(booking)
    bundle = bundle_of(search)
    files, content = files_of(bundle), content_of(bundle)
    jsonschema.Draft202012Validator(json.loads(files["schema.json"])).validate(content)
    hidden = content["candidates"][0]
    assert (hidden["sealed"], hidden["expunged"], "photograph" in hidden) == (True, False, False)
    assert content["lead"]["withdrawn_why"] == "sealed"
    page = files["bundle.html"].decode()
    assert "was sealed" in page
    assert "destroyed" not in page
    assert name.encode() not in files["bundle.json"]
    code, said = verified(unpacked(bundle, tmp_path))
    assert code == 0, said
    assert "expunged or sealed since" in said
    unsealed(booking)
    assert name in json.dumps(content_of(bundle_of(search)))


def test_a_booking_beside_a_candidate_that_is_sealed_while_the_bundle_is_sent_leaves_a_zip_that_does_not_open(
    fake_encoder: object,
) -> None:
    search = with_lead()
    beside = enrol(9)
    SiblingPhoto.objects.create(candidate=candidate(search, 2), photo=beside, rank=3, score=0.5)
    made = services.make(by=auditor(), search=search)
    sent = [next(made.chunks)]
    sealed(beside.booking)
    with pytest.raises(WrongState, match="erased"):
        sent += made.chunks
    assert b"PK\x05\x06" not in b"".join(sent)
