"""A known-answer trial never becomes a lead, whatever its examiners find."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION reviews_lead_of_casework() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT trial_id FROM probes_search WHERE id = NEW.search_id) IS NOT NULL THEN
        PERFORM reviews_refuse('a known-answer trial makes no lead');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_lead_of_casework BEFORE INSERT ON reviews_lead
    FOR EACH ROW EXECUTE FUNCTION reviews_lead_of_casework();
"""
BACKWARD = """
DROP TRIGGER reviews_lead_of_casework ON reviews_lead;
DROP FUNCTION reviews_lead_of_casework();
"""


class Migration(migrations.Migration):
    dependencies = [("reviews", "0005_what_becomes_of_a_lead"), ("probes", "0008_trials")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
