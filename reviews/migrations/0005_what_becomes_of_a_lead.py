"""What a lead may be used for and what became of it: evidence, line-ups, outcomes, who opened it, why it was withdrawn.

That a lead is withdrawn once, and nothing else of it changes, is in migration 0004 and holds for the new columns: they
are written with the withdrawal or never.
"""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

BEFORE = """
ALTER TABLE reviews_lead DISABLE TRIGGER reviews_lead_rules;
UPDATE reviews_lead SET withdrawn_why = 'expunged' WHERE withdrawn_at IS NOT NULL;
ALTER TABLE reviews_lead ENABLE TRIGGER reviews_lead_rules;
"""

FORWARD = """
CREATE FUNCTION reviews_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_refuse(format('rows of %s are added, never changed or deleted', TG_TABLE_NAME));
    RETURN NULL;
END $$;

-- Each waits for whoever is withdrawing the lead, and sees what came of it.
CREATE FUNCTION reviews_evidence_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT withdrawn_at FROM reviews_lead WHERE id = NEW.lead_id FOR SHARE) IS NOT NULL THEN
        PERFORM reviews_refuse('a withdrawn lead takes no evidence');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION reviews_lineup_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT withdrawn_at FROM reviews_lead WHERE id = NEW.lead_id FOR SHARE) IS NOT NULL THEN
        PERFORM reviews_refuse('a withdrawn lead is exported to no line-up');
    END IF;
    IF NOT EXISTS (SELECT FROM reviews_evidence WHERE lead_id = NEW.lead_id) THEN
        PERFORM reviews_refuse('a lead without independent evidence is exported to no line-up');
    END IF;
    IF jsonb_typeof(NEW.photos) <> 'array' OR NEW.candidate_place NOT BETWEEN 1 AND jsonb_array_length(NEW.photos)
    THEN
        PERFORM reviews_refuse('the candidate has one of the places of a line-up');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION reviews_leadview_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.withdrawn IS DISTINCT FROM
       ((SELECT withdrawn_at FROM reviews_lead WHERE id = NEW.lead_id FOR SHARE) IS NOT NULL) THEN
        PERFORM reviews_refuse('a look at a lead says whether it was withdrawn');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION reviews_falseleadseen_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM reviews_leadoutcome outcome JOIN reviews_lead lead ON lead.id = outcome.lead_id
         WHERE outcome.id = NEW.outcome_id AND outcome.outcome = 'false_lead'
           AND NEW.examination_id IN (lead.first_id, lead.second_id)
    ) THEN
        PERFORM reviews_refuse('only who confirmed a lead has seen that it was false');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER reviews_evidence_rules BEFORE INSERT ON reviews_evidence
    FOR EACH ROW EXECUTE FUNCTION reviews_evidence_rules();
CREATE TRIGGER reviews_lineup_rules BEFORE INSERT ON reviews_lineup
    FOR EACH ROW EXECUTE FUNCTION reviews_lineup_rules();
CREATE TRIGGER reviews_leadview_rules BEFORE INSERT ON reviews_leadview
    FOR EACH ROW EXECUTE FUNCTION reviews_leadview_rules();
CREATE TRIGGER reviews_falseleadseen_rules BEFORE INSERT ON reviews_falseleadseen
    FOR EACH ROW EXECUTE FUNCTION reviews_falseleadseen_rules();
"""
BACKWARD = """
DROP FUNCTION reviews_evidence_rules() CASCADE;
DROP FUNCTION reviews_lineup_rules() CASCADE;
DROP FUNCTION reviews_leadview_rules() CASCADE;
DROP FUNCTION reviews_falseleadseen_rules() CASCADE;
DROP FUNCTION reviews_append_only() CASCADE;
"""
# Named table by table, so that each trigger is found by its name.
APPENDED = ("reviews_evidence", "reviews_lineup", "reviews_leadview", "reviews_leadoutcome", "reviews_falseleadseen")
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION reviews_append_only();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_append_only();
"""
    for table in APPENDED
)


class Migration(migrations.Migration):
    dependencies = [
        ("probes", "0006_the_policy_of_a_search"),
        ("reviews", "0004_graded_conclusions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Evidence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        help_text="A code of the policy; what it means is in mugsearch/policy.toml.", max_length=40
                    ),
                ),
                ("source", models.TextField(help_text="Where it comes from and what it says.", max_length=2000)),
                ("obtained_on", models.DateField()),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "attested_at",
                    models.DateTimeField(help_text="When it was attested that it does not come from face recognition."),
                ),
            ],
            options={
                "verbose_name_plural": "evidence",
                "ordering": ["recorded_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="FalseLeadSeen",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="LeadOutcome",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("confirmed_by_other_evidence", "Confirmed by other evidence"),
                            ("false_lead", "False lead: it was somebody else"),
                            ("no_use", "Of no use to the case"),
                            ("closed_without_result", "Closed without a result"),
                        ],
                        max_length=27,
                    ),
                ),
                ("note", models.TextField(blank=True, max_length=4000)),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="LeadView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("withdrawn", models.BooleanField(help_text="Whether the lead was withdrawn when it was opened.")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="Lineup",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("photos", models.JSONField(help_text="Ids of the photographs, in the order of the places.")),
                (
                    "candidate_place",
                    models.PositiveSmallIntegerField(help_text="Where the lead's candidate is, from 1."),
                ),
                ("exported_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ["-exported_at"],
            },
        ),
        migrations.AddField(
            model_name="lead",
            name="withdrawn_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="lead",
            name="withdrawn_reason",
            field=models.TextField(blank=True, max_length=1000),
        ),
        migrations.AddField(
            model_name="lead",
            name="withdrawn_why",
            field=models.CharField(
                blank=True,
                choices=[
                    ("expunged", "The booking behind it was expunged"),
                    ("certificate", "An examiner's certificate was not valid"),
                ],
                max_length=11,
            ),
        ),
        migrations.AlterField(
            model_name="lead",
            name="withdrawn_at",
            field=models.DateTimeField(null=True),
        ),
        # All leads withdrawn so far were withdrawn by an expungement.
        migrations.RunSQL(BEFORE, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="lead",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("withdrawn_at__isnull", True),
                        ("withdrawn_by__isnull", True),
                        ("withdrawn_reason", ""),
                        ("withdrawn_why", ""),
                    ),
                    models.Q(
                        ("withdrawn_at__isnull", False),
                        ("withdrawn_by__isnull", True),
                        ("withdrawn_reason", ""),
                        ("withdrawn_why", "expunged"),
                    ),
                    models.Q(
                        ("withdrawn_at__isnull", False),
                        ("withdrawn_by__isnull", False),
                        ("withdrawn_why", "certificate"),
                        models.Q(("withdrawn_reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="withdrawn_lead_says_why",
            ),
        ),
        migrations.AddField(
            model_name="evidence",
            name="lead",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="evidence", to="reviews.lead"
            ),
        ),
        migrations.AddField(
            model_name="evidence",
            name="recorded_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="falseleadseen",
            name="examination",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="reviews.examination"
            ),
        ),
        migrations.AddField(
            model_name="leadoutcome",
            name="lead",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="outcomes", to="reviews.lead"
            ),
        ),
        migrations.AddField(
            model_name="leadoutcome",
            name="recorded_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="falseleadseen",
            name="outcome",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="seen", to="reviews.leadoutcome"
            ),
        ),
        migrations.AddField(
            model_name="leadview",
            name="lead",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="views", to="reviews.lead"
            ),
        ),
        migrations.AddField(
            model_name="leadview",
            name="viewer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="lineup",
            name="exported_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="lineup",
            name="lead",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="lineups", to="reviews.lead"
            ),
        ),
        migrations.AddConstraint(
            model_name="evidence",
            constraint=models.CheckConstraint(
                condition=models.Q(models.Q(("kind", ""), _negated=True), models.Q(("source", ""), _negated=True)),
                name="evidence_says_what_and_whence",
            ),
        ),
        migrations.AddConstraint(
            model_name="leadoutcome",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("outcome__in", ["confirmed_by_other_evidence", "false_lead", "no_use", "closed_without_result"])
                ),
                name="lead_outcome_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="falseleadseen",
            constraint=models.UniqueConstraint(fields=("outcome", "examination"), name="false_lead_seen_once"),
        ),
        migrations.AddConstraint(
            model_name="leadview",
            constraint=models.UniqueConstraint(
                fields=("lead", "viewer", "withdrawn"), name="one_first_look_per_viewer"
            ),
        ),
        migrations.RunSQL(FORWARD + APPEND_ONLY, BACKWARD),
    ]
