"""The page of the measurements behind false-positive rates. They are made with `./run manage calibrate`."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from mugsearch.accounts.access import needs
from mugsearch.gallery.models import Encoder, Template
from mugsearch.probes import calibration
from mugsearch.probes.models import Calibration
from mugsearch.probes.policy_views import READERS

SHOWN = 50  # older ones are told over the API


@needs(*READERS)
@require_GET
def calibrations(request: HttpRequest) -> HttpResponse:
    """The latest with its rates, and whether it still fits the gallery. Names nobody, so that is no look at anybody."""
    encoder = Encoder.objects.filter(state=Encoder.State.ACTIVE).first()
    made = Calibration.objects.select_related("encoder", "made_by").defer("scores")
    latest = Calibration.objects.select_related("encoder", "made_by").filter(encoder=encoder).first()
    size = Template.objects.searchable().filter(encoder=encoder).count() if latest else 0
    context = {
        "latest": latest,
        "table": calibration.table(latest) if latest else [],
        "size": size,
        "drifted": latest is not None and calibration.has_drifted(size, latest.gallery_size),
        "calibrations": made[:SHOWN],
        "encoder": encoder,
    }
    return render(request, "probes/calibrations.html", context)
