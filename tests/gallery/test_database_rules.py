import pytest
from django.db import IntegrityError, transaction

from mugsearch.gallery.models import Booking, Photo
from tests.factories import AgencyFactory, BookingFactory, PersonFactory, PhotoFactory

pytestmark = pytest.mark.django_db


def test_a_photo_stays_with_its_booking_and_a_booking_with_its_person() -> None:
    photo = PhotoFactory()
    with pytest.raises(IntegrityError, match="stays with its booking"), transaction.atomic():
        Photo.objects.filter(pk=photo.pk).update(booking=BookingFactory())
    with pytest.raises(IntegrityError, match="stays with its person"), transaction.atomic():
        Booking.objects.filter(pk=photo.booking_id).update(person=PersonFactory())
    with pytest.raises(IntegrityError, match="its agency"), transaction.atomic():
        Booking.objects.filter(pk=photo.booking_id).update(agency=AgencyFactory(code="shelbyville"))
    assert Booking.objects.filter(pk=photo.booking_id).update(charge="Theft") == 1


def test_a_photo_is_of_the_agency_of_its_booking_whatever_is_written() -> None:
    shelbyville = AgencyFactory(code="shelbyville")
    photos = [PhotoFactory(), PhotoFactory(agency=shelbyville)]
    Photo.objects.filter(pk=photos[0].pk).update(agency=shelbyville)
    Photo.objects.bulk_create([Photo(booking=photos[0].booking, sha256="0" * 64, width=1, height=1, state="waiting")])
    assert {*Photo.objects.values_list("agency", flat=True)} == {photos[0].booking.agency_id}
