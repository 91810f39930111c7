from django.urls import path

from mugsearch.gallery import import_views, photo_views, views

urlpatterns = [
    path("people/", views.people, name="people"),
    path("people/<uuid:person_id>", views.person, name="person"),
    path("people/<uuid:person_id>/edit", views.edit_person, name="edit_person"),
    path("bookings/<uuid:booking_id>", views.booking, name="booking"),
    path("bookings/<uuid:booking_id>/edit", views.edit_booking, name="edit_booking"),
    path("photos/waiting", photo_views.waiting_photos, name="waiting_photos"),
    path("photos/<uuid:photo_id>", photo_views.photo, name="photo"),
    path("photos/<uuid:photo_id>/pick", photo_views.pick_face, name="pick_face"),
    path("photos/<uuid:photo_id>/refuse", photo_views.refuse_photo, name="refuse_photo"),
    path("photos/<uuid:photo_id>/image", views.photo_image, name="photo_image"),
    path("imports/", import_views.imports, name="imports"),
    path("imports/new", import_views.new_import, name="new_import"),
    path("imports/<uuid:run_id>", import_views.import_run, name="import_run"),
    path("imports/<uuid:run_id>/progress", import_views.import_progress, name="import_progress"),
    path("imports/<uuid:run_id>/rejects.csv", import_views.import_rejects, name="import_rejects"),
]
