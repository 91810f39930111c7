"""A place on a list whose booking is sealed is a tombstone until it is unsealed; then it is what it was, nothing else.

What it was is written down before it becomes a tombstone, as it is, and compared when it comes back: so nobody can put
another person under a lead by sealing and unsealing.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
DROP TRIGGER probes_candidate_stays ON probes_candidate;
CREATE FUNCTION probes_candidate_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.search_id, NEW.rank) IS NOT DISTINCT FROM (OLD.id, OLD.search_id, OLD.rank) THEN
        IF OLD.forgotten_at IS NULL AND NEW.forgotten_at IS NOT NULL
           AND NEW.person_id IS NULL AND NEW.photo_id IS NULL AND NEW.score IS NULL AND NEW.trial_photo_id IS NULL THEN
            RETURN NEW;
        END IF;
        IF OLD.forgotten_at IS NOT NULL AND NEW.forgotten_at IS NULL AND NEW.trial_photo_id IS NULL
           AND EXISTS (SELECT FROM probes_sealedplace place WHERE place.candidate_id = NEW.id
               AND (place.person_id, place.photo_id, place.score) = (NEW.person_id, NEW.photo_id, NEW.score)) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a candidate can become a tombstone and, unsealed, what it was; nothing else of it changes'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER probes_candidate_stays BEFORE UPDATE ON probes_candidate
    FOR EACH ROW EXECUTE FUNCTION probes_candidate_stays();

CREATE FUNCTION probes_sealedplace_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE candidate probes_candidate%ROWTYPE;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT * INTO candidate FROM probes_candidate WHERE id = NEW.candidate_id FOR UPDATE;
        IF (candidate.person_id, candidate.photo_id, candidate.score) = (NEW.person_id, NEW.photo_id, NEW.score) THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM probes_candidate WHERE id = OLD.candidate_id AND forgotten_at IS NULL) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'a sealed place is what the candidate was, and goes when the candidate is that again'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER probes_sealedplace_rules BEFORE INSERT OR UPDATE OR DELETE ON probes_sealedplace
    FOR EACH ROW EXECUTE FUNCTION probes_sealedplace_rules();
CREATE TRIGGER probes_sealedplace_no_truncate BEFORE TRUNCATE ON probes_sealedplace
    FOR EACH STATEMENT EXECUTE FUNCTION probes_sealedplace_rules();
"""
BACKWARD = """
DROP FUNCTION probes_sealedplace_rules() CASCADE;
DROP FUNCTION probes_candidate_stays() CASCADE;
CREATE TRIGGER probes_candidate_stays BEFORE UPDATE ON probes_candidate FOR EACH ROW
    WHEN (NOT (
        OLD.forgotten_at IS NULL AND NEW.forgotten_at IS NOT NULL
        AND NEW.person_id IS NULL AND NEW.photo_id IS NULL AND NEW.score IS NULL AND NEW.trial_photo_id IS NULL
        AND (NEW.id, NEW.search_id, NEW.rank) IS NOT DISTINCT FROM (OLD.id, OLD.search_id, OLD.rank)
    ))
    EXECUTE FUNCTION probes_refuse('a candidate can become a tombstone, nothing else of it changes');
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0013_probes_of_trials"), ("gallery", "0012_sealed_bookings")]
    operations = [
        migrations.CreateModel(
            name="SealedPlace",
            fields=[
                (
                    "candidate",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="sealed_place",
                        serialize=False,
                        to="probes.candidate",
                    ),
                ),
                ("score", models.FloatField()),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="gallery.person"
                    ),
                ),
                (
                    "photo",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="gallery.photo"
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
