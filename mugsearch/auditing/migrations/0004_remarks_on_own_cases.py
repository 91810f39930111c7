"""A remark on a case that its author is or was on needs its reason as one on themselves does."""

from django.db import migrations

RULE = """
CREATE OR REPLACE FUNCTION auditing_remark_on_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.own_reason = '' AND EXISTS (SELECT FROM auditing_sighting
                                       WHERE id = NEW.sighting_id AND (NEW.by_id IN (actor_id, other_id){})) THEN
        RAISE EXCEPTION 'nobody reviews their own acts without a recorded reason' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
"""
OWN_CASE = """ OR EXISTS (
        SELECT FROM probes_membership
        LEFT JOIN probes_search found ON found.id = auditing_sighting.search_id
        LEFT JOIN probes_probe image ON image.id = found.probe_id
        WHERE probes_membership.user_id = NEW.by_id
          AND probes_membership.case_id IN (auditing_sighting.case_id, image.case_id))"""


class Migration(migrations.Migration):
    dependencies = [
        ("auditing", "0003_saved_reviews"),
        ("probes", "0016_who_is_on_a_case"),
    ]
    operations = [migrations.RunSQL(RULE.format(OWN_CASE), RULE.format(""))]
