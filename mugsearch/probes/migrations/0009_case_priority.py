"""Which cases are urgent, who said so and why, for good."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION probes_case_priority_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
    SELECT priority INTO said FROM probes_prioritychange WHERE case_id = NEW.id ORDER BY id DESC LIMIT 1;
    IF NEW.priority <> coalesce(said, 'normal') THEN
        RAISE EXCEPTION 'the priority of a case is changed by somebody, for a reason' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER probes_case_priority_rules BEFORE INSERT OR UPDATE OF priority ON probes_case FOR EACH ROW
    EXECUTE FUNCTION probes_case_priority_rules();
CREATE TRIGGER probes_prioritychange_stays BEFORE UPDATE OR DELETE ON probes_prioritychange FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('who changed a priority and why stays on record');
CREATE TRIGGER probes_prioritychange_no_truncate BEFORE TRUNCATE ON probes_prioritychange FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('who changed a priority and why stays on record');
"""
BACKWARD = """
DROP TRIGGER probes_prioritychange_no_truncate ON probes_prioritychange;
DROP TRIGGER probes_prioritychange_stays ON probes_prioritychange;
DROP TRIGGER probes_case_priority_rules ON probes_case;
DROP FUNCTION probes_case_priority_rules();
"""


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("probes", "0008_trials"),
    ]
    operations = [
        migrations.AddField(
            model_name="case",
            name="priority",
            field=models.CharField(
                choices=[("urgent", "Urgent"), ("normal", "Normal")], default="normal", max_length=6
            ),
        ),
        migrations.CreateModel(
            name="PriorityChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "priority",
                    models.CharField(choices=[("urgent", "Urgent"), ("normal", "Normal")], max_length=6),
                ),
                ("reason", models.TextField(max_length=1000)),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="priority_changes",
                        to="probes.case",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("priority__in", ["urgent", "normal"]), models.Q(("reason", ""), _negated=True)
                        ),
                        name="priority_changed_for_a_reason",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
