"""What examiners wrote and drew is sealed under the data key of the photograph it describes."""

import json
from importlib import import_module
from itertools import islice

from django.db import migrations, models
from django.db.models import F

from mugsearch import going_back
from mugsearch.vault import services as vault
from reviews import worksheet

BATCH = 1000

RULES = """
-- As in migration 0004, but that what describes a face is encrypted.
CREATE OR REPLACE FUNCTION reviews_finding_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    examination reviews_examination%ROWTYPE;
BEGIN
    PERFORM reviews_require_fresh_rows();
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM reviews_refuse('findings are never deleted together');
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.examination_id, NEW.candidate_id)
       IS DISTINCT FROM (OLD.examination_id, OLD.candidate_id) THEN
        PERFORM reviews_refuse('a finding stays with its candidate');
    END IF;
    -- What was written about the face of somebody who is expunged goes; the grade stays.
    IF TG_OP = 'UPDATE' AND NEW.sealed = '' AND NEW.owner IS NULL AND NEW.worksheet = '{}'::jsonb
       AND (NEW.id, NEW.conclusion, NEW.saved_at) IS NOT DISTINCT FROM (OLD.id, OLD.conclusion, OLD.saved_at)
       AND EXISTS (SELECT FROM probes_candidate WHERE id = OLD.candidate_id AND forgotten_at IS NOT NULL) THEN
        RETURN NEW;
    END IF;
    -- Shared with other findings, but neither concluded nor given back in between.
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO examination FROM reviews_examination WHERE id = NEW.examination_id FOR SHARE;
    ELSE
        SELECT * INTO examination FROM reviews_examination WHERE id = OLD.examination_id FOR SHARE;
    END IF;
    IF examination.state IS DISTINCT FROM 'claimed' THEN
        PERFORM reviews_refuse('the findings of an examination that has ended are locked');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.conclusion IN ('same', 'different', 'inconclusive') THEN
        PERFORM reviews_refuse('a conclusion is graded');
    END IF;
    IF NOT EXISTS (SELECT FROM probes_candidate
                   WHERE id = NEW.candidate_id AND search_id = examination.search_id) THEN
        PERFORM reviews_refuse('a finding is on a candidate of the search examined');
    END IF;
    RETURN NEW;
END $$;
"""
_NAME = "CREATE OR REPLACE FUNCTION reviews_finding_rules()"
_THAT = import_module("reviews.migrations.0004_graded_conclusions").FORWARD.partition(_NAME)[2]
BEFORE = f"{_NAME}{_THAT.partition('END $$;')[0]}END $$;"


def seal_all(apps, schema_editor):
    """Of somebody expunged nothing is there; of somebody sealed their place says whose key it is."""
    findings = apps.get_model("reviews", "Finding").objects
    lost = sealed = 0
    owned = findings.annotate(
        of_trial=F("candidate__trial_photo"),
        of_booking=F("candidate__photo__booking"),
        of_sealed=F("candidate__sealed_place__photo__booking"),
    )
    found = owned.order_by("pk").iterator(chunk_size=BATCH)
    while batch := list(islice(found, BATCH)):
        for finding in batch:
            finding.said, written = worksheet.parted(finding.said)
            owner = finding.of_trial or finding.of_booking or finding.of_sealed
            if not owner or not (finding.notes or written):
                continue
            if not vault.has_key(owner):  # older keys were restored: the photograph can't be seen either
                lost += 1
                continue
            text = json.dumps({"notes": finding.notes, "written": written})
            finding.owner, finding.sealed = owner, vault.seal(owner, "identity", text.encode())
            sealed += 1
        findings.bulk_update(batch, ["owner", "sealed", "said"])
    if lost and not sealed:
        raise RuntimeError(
            "There is no data key of any photograph that examiners wrote about. Does MUGSEARCH_KEYS name the folder of "
            "the keys? Nothing was changed."
        )


class Migration(migrations.Migration):
    dependencies = [("reviews", "0007_leads_of_sealed_bookings"), ("probes", "0015_erased_probes")]
    operations = [
        migrations.AddField(
            "finding",
            "owner",
            models.UUIDField(null=True, editable=False, help_text="Of the data key; empty while nothing is sealed."),
        ),
        migrations.AddField("finding", "sealed", models.BinaryField(editable=False, default=b"")),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("finding", "worksheet", "said"),
                migrations.AlterField(
                    "finding",
                    "said",
                    models.JSONField(blank=True, db_column="worksheet", default=dict, editable=False),
                ),
            ]
        ),
        # Concluded examinations are locked; this changes what is stored of them, not what was said.
        migrations.RunSQL("ALTER TABLE reviews_finding DISABLE TRIGGER USER", migrations.RunSQL.noop),
        migrations.RunPython(seal_all, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RunSQL("ALTER TABLE reviews_finding ENABLE TRIGGER USER", migrations.RunSQL.noop),
        migrations.AlterField("finding", "sealed", models.BinaryField(editable=False)),
        migrations.RemoveField("finding", "notes"),
        migrations.RunSQL(RULES, BEFORE),
        going_back.refused_for("reviews_finding WHERE sealed <> ''", "what examiners wrote is sealed, and stays so"),
    ]
