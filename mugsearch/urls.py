"""Which room answers which address."""

from django.urls import include, path

from mugsearch import pages

handler400 = "mugsearch.pages.bad_request"
handler404 = "mugsearch.pages.not_found"
handler500 = "mugsearch.pages.server_error"

urlpatterns = [
    path("", pages.home, name="home"),
    path("healthz", pages.healthz, name="healthz"),
    path("", include("mugsearch.accounts.urls")),
    path("gallery/", include("mugsearch.gallery.urls")),
    path("", include("mugsearch.probes.urls")),
    path("", include("reviews.casework_urls")),
    path("reviews/", include("reviews.urls")),
    path("trials/", include("reviews.trial_urls")),
    path("expungements/", include("mugsearch.retention.urls")),
    path("retention/", include("mugsearch.retention.disposition_urls")),
    path("audit/", include("mugsearch.auditing.urls")),
    path("disclosure/", include("mugsearch.disclosure.urls")),
    path("api/v1/", include("mugsearch.api")),
]
