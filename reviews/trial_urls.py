from django.urls import path

from reviews import trial_views

urlpatterns = [
    path("", trial_views.all_trials, name="trials"),
    path("<uuid:trial_id>", trial_views.trial, name="trial"),
    path("<uuid:trial_id>/close", trial_views.close, name="close_trial"),
    path("material", trial_views.trial_material, name="trial_material"),
    path("material/<uuid:subject_id>/withdraw", trial_views.withdraw_subject, name="withdraw_trial_subject"),
    path("photos/<uuid:photo_id>.jpg", trial_views.trial_photo, name="trial_photo"),
    path("examiners", trial_views.examiners, name="trial_examiners"),
    path("examiners/<uuid:examiner_id>", trial_views.examiner, name="trial_examiner"),
    path("mine", trial_views.mine, name="my_trials"),
]
