"""Edits of a probe, and searches with one of them (RULES 6). What an edit was made from, how and by whom stays."""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

STATES = [
    ("received", "Looking for faces"),
    ("ready", "Faces found"),
    ("no_face", "No face found"),
    ("failed", "Failed"),
]

FORWARD = """
CREATE TRIGGER probes_probeedit_stays BEFORE UPDATE ON probes_probeedit FOR EACH ROW
    WHEN ((NEW.id, NEW.probe_id, NEW.number, NEW.steps, NEW.made_by_id, NEW.made_at, NEW.sha256, NEW.width, NEW.height)
        IS DISTINCT FROM
        (OLD.id, OLD.probe_id, OLD.number, OLD.steps, OLD.made_by_id, OLD.made_at, OLD.sha256, OLD.width, OLD.height)
        OR (OLD.state <> 'received' AND NEW.faces IS DISTINCT FROM OLD.faces AND NEW.faces <> '[]'))
    EXECUTE FUNCTION probes_refuse('an edit stays as it was made');
CREATE TRIGGER probes_probeedit_no_delete BEFORE DELETE ON probes_probeedit FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('an edit is never deleted');
CREATE TRIGGER probes_probeedit_no_truncate BEFORE TRUNCATE ON probes_probeedit FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('an edit is never deleted');

ALTER TABLE probes_search ADD CONSTRAINT search_with_an_edit_of_its_probe
    FOREIGN KEY (edit_id, probe_id) REFERENCES probes_probeedit (id, probe_id);
CREATE TRIGGER probes_search_edit_stays BEFORE UPDATE ON probes_search FOR EACH ROW
    WHEN (NEW.edit_id IS DISTINCT FROM OLD.edit_id)
    EXECUTE FUNCTION probes_refuse('a search stays what was asked for, and a finished one stays as it is');
"""
BACKWARD = """
DROP TRIGGER probes_search_edit_stays ON probes_search;
ALTER TABLE probes_search DROP CONSTRAINT search_with_an_edit_of_its_probe;
DROP TRIGGER probes_probeedit_no_truncate ON probes_probeedit;
DROP TRIGGER probes_probeedit_no_delete ON probes_probeedit;
DROP TRIGGER probes_probeedit_stays ON probes_probeedit;
"""


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("probes", "0010_calibration"),
    ]
    operations = [
        migrations.CreateModel(
            name="ProbeEdit",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "number",
                    models.PositiveSmallIntegerField(help_text="Of this probe, from 1: people know it by that."),
                ),
                ("steps", models.JSONField(help_text="As engine.edits writes them.")),
                ("made_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("sha256", models.CharField(help_text="Of the pixels, see engine.edits.digest.", max_length=64)),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                ("state", models.CharField(choices=STATES, default="received", max_length=8)),
                ("faces", models.JSONField(default=list, help_text="As of a probe, in the edit's own pixels.")),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("tried_at", models.DateTimeField(null=True)),
                ("failure", models.CharField(blank=True, max_length=300)),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "probe",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="edits", to="probes.probe"
                    ),
                ),
            ],
            options={
                "ordering": ["probe", "number"],
                "constraints": [
                    models.CheckConstraint(condition=Q(number__gte=1, number__lte=10), name="ten_edits_of_a_probe"),
                    models.UniqueConstraint(fields=["probe", "number"], name="one_edit_per_number"),
                    models.UniqueConstraint(fields=["probe", "steps"], name="one_edit_of_the_same_steps"),
                    models.UniqueConstraint(fields=["id", "probe"], name="edit_and_its_probe"),
                ],
            },
        ),
        migrations.AddField(
            model_name="search",
            name="edit",
            field=models.ForeignKey(
                help_text="Empty: with the original.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="searches",
                to="probes.probeedit",
            ),
        ),
        migrations.AlterField(
            model_name="search",
            name="face",
            field=models.PositiveSmallIntegerField(help_text="Position in the faces of `image`."),
        ),
        migrations.RemoveConstraint(model_name="search", name="one_open_search_per_face"),
        migrations.AddConstraint(
            model_name="search",
            constraint=models.UniqueConstraint(
                fields=["probe", "edit", "face"],
                condition=Q(state__in=["queued", "running"]),
                nulls_distinct=False,
                name="one_open_search_per_face",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
