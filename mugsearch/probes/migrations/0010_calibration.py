"""How high people score who are not in the gallery, as it was measured, for good."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

FORWARD = """
ALTER TABLE probes_calibration ADD CONSTRAINT calibration_has_a_score_of_each
    CHECK (CASE jsonb_typeof(scores) WHEN 'array' THEN jsonb_array_length(scores) = people ELSE false END);
CREATE TRIGGER probes_calibration_stays BEFORE UPDATE OR DELETE ON probes_calibration FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('a calibration stays as it was measured');
CREATE TRIGGER probes_calibration_no_truncate BEFORE TRUNCATE ON probes_calibration FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('a calibration stays as it was measured');
"""
BACKWARD = """
DROP TRIGGER probes_calibration_no_truncate ON probes_calibration;
DROP TRIGGER probes_calibration_stays ON probes_calibration;
"""


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("gallery", "0001_gallery"),
        ("probes", "0009_case_priority"),
    ]
    operations = [
        migrations.CreateModel(
            name="Calibration",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("generation", models.BigIntegerField(help_text="GalleryChange.number the index had applied.")),
                ("gallery_size", models.PositiveIntegerField(help_text="Photographs in the index.")),
                ("people", models.PositiveIntegerField(help_text="Searches made, one for each person drawn.")),
                (
                    "seed",
                    models.CharField(
                        help_text="With it the same people are drawn from the same gallery.", max_length=64
                    ),
                ),
                (
                    "scores",
                    models.JSONField(help_text="The best score of each search, ascending, to 4 decimals."),
                ),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "encoder",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="gallery.encoder"
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={"ordering": ["-number"]},
        ),
        migrations.AddConstraint(
            model_name="calibration",
            constraint=models.CheckConstraint(
                condition=Q(people__gte=1, gallery_size__gte=2) & Q(people__lte=F("gallery_size")),
                name="calibration_of_somebody_among_others",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
