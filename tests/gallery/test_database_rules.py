import pytest
from django.db import IntegrityError, transaction

from mugsearch.gallery.models import Booking, Photo
from tests.factories import BookingFactory, PersonFactory, PhotoFactory

pytestmark = pytest.mark.django_db


def test_a_photo_stays_with_its_booking_and_a_booking_with_its_person() -> None:
    photo = PhotoFactory()
    with pytest.raises(IntegrityError, match="stays with its booking"), transaction.atomic():
        Photo.objects.filter(pk=photo.pk).update(booking=BookingFactory())
    with pytest.raises(IntegrityError, match="stays with its person"), transaction.atomic():
        Booking.objects.filter(pk=photo.booking_id).update(person=PersonFactory())
    assert Booking.objects.filter(pk=photo.booking_id).update(charge="Theft") == 1
