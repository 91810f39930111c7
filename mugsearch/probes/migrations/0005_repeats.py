"""Searches made once more, for a disclosure. Who asked, and what came of it, stays as it was written."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

STATES = [("queued", "Queued"), ("running", "Searching"), ("done", "Searched"), ("failed", "Failed")]

FORWARD = """
CREATE TRIGGER probes_repeat_stays BEFORE UPDATE ON probes_repeat FOR EACH ROW
    WHEN (OLD.state IN ('done', 'failed') OR (NEW.id, NEW.search_id, NEW.requested_by_id, NEW.requested_at)
        IS DISTINCT FROM (OLD.id, OLD.search_id, OLD.requested_by_id, OLD.requested_at))
    EXECUTE FUNCTION probes_refuse('a repeat stays what was asked for, and one that has ended stays as it is');
CREATE TRIGGER probes_repeat_no_delete BEFORE DELETE ON probes_repeat FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('a repeat is never deleted');
CREATE TRIGGER probes_repeat_no_truncate BEFORE TRUNCATE ON probes_repeat FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('a repeat is never deleted');
"""
BACKWARD = """
DROP TRIGGER probes_repeat_no_truncate ON probes_repeat;
DROP TRIGGER probes_repeat_no_delete ON probes_repeat;
DROP TRIGGER probes_repeat_stays ON probes_repeat;
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0004_proof_of_a_list"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Repeat",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("requested_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("state", models.CharField(choices=STATES, default="queued", max_length=8)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(blank=True, max_length=300)),
                (
                    "generation",
                    models.BigIntegerField(
                        null=True, help_text="GalleryChange.number the index had applied this time."
                    ),
                ),
                ("scanned", models.PositiveIntegerField(null=True, help_text="Photographs compared this time.")),
                (
                    "erased_photos",
                    models.PositiveIntegerField(null=True, help_text="In the gallery of then, erased since."),
                ),
                (
                    "erased_people",
                    models.PositiveIntegerField(null=True, help_text="On the list of then, erased since."),
                ),
                (
                    "differing",
                    models.PositiveIntegerField(
                        null=True,
                        help_text="Photographs with another rank or score, beyond what was erased. 0: the same list.",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "search",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="repeats", to="probes.search"
                    ),
                ),
            ],
            options={"ordering": ["-requested_at"]},
        ),
        migrations.AddConstraint(
            model_name="repeat",
            constraint=models.UniqueConstraint(
                fields=["search"], condition=Q(state__in=["queued", "running"]), name="one_open_repeat_per_search"
            ),
        ),
        migrations.AddConstraint(
            model_name="repeat",
            constraint=models.CheckConstraint(
                condition=~Q(state="done")
                | Q(
                    generation__isnull=False,
                    scanned__isnull=False,
                    erased_photos__isnull=False,
                    erased_people__isnull=False,
                    differing__isnull=False,
                ),
                name="finished_repeat_says_what_it_found",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
