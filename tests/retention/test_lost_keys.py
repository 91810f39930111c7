"""A booking whose data key is lost, because an older copy of the keys was restored."""

import pytest

from mugsearch.gallery import encoding, live
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from reviews import services
from reviews.models import Examination
from tests.factories import BookingFactory, CandidateFactory, SearchFactory, examiner
from tests.gallery_rows import enrol
from tests.retention.arrange import approved, proved, requested

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


def test_an_examiners_note_makes_no_new_key_so_the_booking_can_still_be_expunged() -> None:
    booking = BookingFactory()
    search = SearchFactory(encoder=encoding.active())
    listed = CandidateFactory(search=search, photo=enrol(7, booking=booking))
    by = examiner(agency=search.probe.case.agency)
    mine = Examination.objects.create(search=search, examiner=by)
    vault.destroy_key(booking.pk)
    with pytest.raises(vault.KeyDestroyed):
        services.save_finding(by=by, examination=mine, position=1, conclusion="-3", notes="A mole.")
    assert not vault.has_key(booking.pk)
    assert not listed.findings.exists()
    services.save_finding(by=by, examination=mine, position=1, conclusion="-3")
    assert proved(approved(requested(booking))).state == ExpungementOrder.State.COMPLETE
