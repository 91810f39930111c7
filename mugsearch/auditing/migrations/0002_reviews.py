"""What auditors say of sightings, and weeks signed off. PostgreSQL refuses any change."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mugsearch import going_back

FORWARD = """
CREATE FUNCTION auditing_reviews_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a review says is neither changed nor deleted' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER auditing_remark_stays BEFORE UPDATE OR DELETE ON auditing_remark
    FOR EACH ROW EXECUTE FUNCTION auditing_reviews_stay();
CREATE TRIGGER auditing_remark_no_truncate BEFORE TRUNCATE ON auditing_remark
    FOR EACH STATEMENT EXECUTE FUNCTION auditing_reviews_stay();
CREATE TRIGGER auditing_signoff_stays BEFORE UPDATE OR DELETE ON auditing_signoff
    FOR EACH ROW EXECUTE FUNCTION auditing_reviews_stay();
CREATE TRIGGER auditing_signoff_no_truncate BEFORE TRUNCATE ON auditing_signoff
    FOR EACH STATEMENT EXECUTE FUNCTION auditing_reviews_stay();
CREATE FUNCTION auditing_remark_on_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.own_reason = '' AND EXISTS (SELECT FROM auditing_sighting
                                       WHERE id = NEW.sighting_id AND NEW.by_id IN (actor_id, other_id)) THEN
        RAISE EXCEPTION 'nobody reviews their own acts without a recorded reason' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER auditing_remark_on_others BEFORE INSERT ON auditing_remark
    FOR EACH ROW EXECUTE FUNCTION auditing_remark_on_others();
"""
BACKWARD = """
DROP FUNCTION auditing_remark_on_others() CASCADE;
DROP FUNCTION auditing_reviews_stay() CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auditing", "0001_signals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="Remark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("explained", "Explained: nothing to follow up"),
                            ("followed_up", "Followed up"),
                            ("open", "Still open"),
                        ],
                        max_length=11,
                    ),
                ),
                ("note", models.TextField(max_length=2000)),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "own_reason",
                    models.CharField(blank=True, help_text="Why somebody looked at their own acts.", max_length=1000),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "sighting",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="remarks", to="auditing.sighting"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddConstraint(
            model_name="remark",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("verdict__in", ["explained", "followed_up", "open"]), models.Q(("note", ""), _negated=True)
                ),
                name="remark_says_what",
            ),
        ),
        migrations.CreateModel(
            name="SignOff",
            fields=[
                ("week", models.DateField(help_text="Its Monday.", primary_key=True, serialize=False)),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("note", models.TextField(max_length=4000)),
                (
                    "own_reason",
                    models.CharField(blank=True, help_text="Why somebody reviewed their own acts.", max_length=1000),
                ),
                (
                    "first",
                    models.BigIntegerField(
                        help_text="Number of the week's first entry; empty: there was none.", null=True
                    ),
                ),
                ("last", models.BigIntegerField(help_text="Number of the week's last entry.", null=True)),
                (
                    "head",
                    models.CharField(
                        help_text="NUMBER:DIGEST of the chain's last entry when it was signed.", max_length=90
                    ),
                ),
                ("sightings", models.PositiveIntegerField()),
                ("refusals", models.PositiveIntegerField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-week"],
            },
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.CheckConstraint(
                condition=models.Q(("note", ""), _negated=True), name="signoff_has_a_note"
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("first__isnull", True), ("last__isnull", True)),
                    ("first__lte", models.F("last")),
                    _connector="OR",
                ),
                name="signoff_span",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        going_back.refused_for(
            "(SELECT FROM auditing_remark UNION ALL SELECT FROM auditing_signoff) said",
            "what auditors said is on record",
        ),
    ]
