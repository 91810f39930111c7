"""False-positive rates over REST: beside a score, and the measurements they come from."""

from typing import Any

from rest_framework import generics, serializers

from mugsearch.accounts.access import role_permission
from mugsearch.probes.calibration import FalsePositives
from mugsearch.probes.models import Calibration
from mugsearch.probes.policy_views import READERS


class FalsePositivesSerializer(serializers.Serializer[FalsePositives]):
    """Of `searches` for people who are NOT in the gallery, `count` returned somebody at this score or above all the
    same. Not the probability that this is the wrong person. Null where it wasn't measured."""

    count = serializers.IntegerField(source="rate.count")
    searches = serializers.IntegerField(source="rate.searches")
    rate = serializers.FloatField(source="rate.rate", help_text="FPIR: count / searches.")
    low = serializers.FloatField(source="rate.low", help_text="95 % interval (Wilson).")
    high = serializers.FloatField(source="rate.high", help_text="The same; 3 / searches where count is 0.")
    measured_at = serializers.DateTimeField(source="calibration.made_at")
    gallery_size = serializers.IntegerField(source="calibration.gallery_size", help_text="Photographs, at that time.")
    caveats = serializers.ListField(child=serializers.CharField(), help_text="Show them beside the rate.")


class CalibrationSerializer(serializers.ModelSerializer[Calibration]):
    encoder = serializers.CharField(source="encoder.name")
    encoder_digest = serializers.CharField(source="encoder.digest")
    scores = serializers.ListField(
        child=serializers.FloatField(), help_text="The best score of each search, ascending, to 4 decimals."
    )

    class Meta:
        model = Calibration
        fields = (
            "number", "encoder", "encoder_digest", "generation", "gallery_size", "people", "seed", "scores", "made_at",
            "made_by",
        )  # fmt: skip


class Calibrations(generics.ListAPIView[Calibration]):
    """The measurements that false-positive rates come from, the newest first. They name nobody."""

    permission_classes = (role_permission(*READERS),)
    serializer_class = CalibrationSerializer
    queryset: Any = Calibration.objects.select_related("encoder")
