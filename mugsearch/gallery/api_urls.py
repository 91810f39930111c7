from django.urls import path

from mugsearch.gallery import api

urlpatterns = [
    path("people", api.People.as_view(), name="api_people"),
    path("people/<uuid:pk>", api.OnePerson.as_view(), name="api_person"),
    path("bookings", api.Bookings.as_view(), name="api_bookings"),
    path("bookings/<uuid:pk>", api.OneBooking.as_view(), name="api_booking"),
    path("photos", api.Photos.as_view(), name="api_photos"),
    path("photos/<uuid:pk>", api.OnePhoto.as_view(), name="api_photo"),
    path("photos/<uuid:pk>/image", api.PhotoImage.as_view(), name="api_photo_image"),
    path("photos/<uuid:pk>/pick", api.PickFace.as_view(), name="api_pick_face"),
    path("photos/<uuid:pk>/refuse", api.RefusePhoto.as_view(), name="api_refuse_photo"),
    path("imports", api.Imports.as_view(), name="api_imports"),
    path("imports/<uuid:pk>", api.OneImport.as_view(), name="api_import"),
    path("imports/<uuid:pk>/rejects", api.Rejects.as_view(), name="api_import_rejects"),
]
