"""Whoever was on a case once, however briefly, examines none of its searches, nor any of an image of it under another
case: they know what it is about, and what was found.

Replaces what reviews made (its migration 0002), because what it asks about is new here.
"""

from django.db import migrations

ON_CASE = """
CREATE OR REPLACE FUNCTION reviews_on_case(person uuid, search uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM {table} member
        JOIN probes_probe known ON known.case_id = member.case_id
        JOIN probes_probe probe ON {probe}
        JOIN probes_search searched ON searched.probe_id = probe.id
        WHERE searched.id = search AND member.user_id = person
    )
$$;
"""
# Claiming and concluding ask it already. A case may be shared with its examiner in between.
FINDINGS = """
CREATE FUNCTION reviews_findings_of_strangers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM reviews_examination
               WHERE id = NEW.examination_id AND state = 'claimed' AND reviews_on_case(examiner_id, search_id)) THEN
        PERFORM reviews_refuse('nobody examines a search of a case they are or were on');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_findings_of_strangers BEFORE INSERT OR UPDATE OF conclusion ON reviews_finding
    FOR EACH ROW WHEN (NEW.conclusion <> '') EXECUTE FUNCTION reviews_findings_of_strangers();
"""
BACK = """
DROP TRIGGER reviews_findings_of_strangers ON reviews_finding;
DROP FUNCTION reviews_findings_of_strangers();
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0016_who_is_on_a_case"), ("reviews", "0008_notes_are_sealed")]
    operations = [
        migrations.RunSQL(
            ON_CASE.format(table="probes_membership", probe="probe.sha256 = known.sha256") + FINDINGS,
            BACK + ON_CASE.format(table="probes_case_members", probe="probe.id = known.id"),
        ),
    ]
