"""Whom a search was about and whom it listed stays as it was written, refused by PostgreSQL whoever writes.

A lead points to a candidate, so whoever could change the candidate could put another person under a lead. All that
ever happens to one is an expungement, which leaves a tombstone (RULES 25).
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION probes_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER probes_candidate_stays BEFORE UPDATE ON probes_candidate FOR EACH ROW
    WHEN (NOT (
        OLD.forgotten_at IS NULL AND NEW.forgotten_at IS NOT NULL
        AND NEW.person_id IS NULL AND NEW.photo_id IS NULL AND NEW.score IS NULL
        AND (NEW.id, NEW.search_id, NEW.rank) IS NOT DISTINCT FROM (OLD.id, OLD.search_id, OLD.rank)
    ))
    EXECUTE FUNCTION probes_refuse('a candidate can become a tombstone, nothing else of it changes');
CREATE TRIGGER probes_candidate_no_delete BEFORE DELETE ON probes_candidate FOR EACH ROW
    EXECUTE FUNCTION probes_refuse('a candidate is forgotten, never deleted');
CREATE TRIGGER probes_candidate_no_truncate BEFORE TRUNCATE ON probes_candidate FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('a candidate is forgotten, never deleted');

CREATE TRIGGER probes_probe_stays BEFORE UPDATE ON probes_probe FOR EACH ROW
    WHEN ((NEW.id, NEW.case_id, NEW.submitted_by_id) IS DISTINCT FROM (OLD.id, OLD.case_id, OLD.submitted_by_id))
    EXECUTE FUNCTION probes_refuse('a probe stays that of its case and of who submitted it');
CREATE TRIGGER probes_search_stays BEFORE UPDATE ON probes_search FOR EACH ROW
    WHEN (OLD.state = 'done' OR (NEW.id, NEW.probe_id, NEW.requested_by_id, NEW.face, NEW.list_size)
        IS DISTINCT FROM (OLD.id, OLD.probe_id, OLD.requested_by_id, OLD.face, OLD.list_size))
    EXECUTE FUNCTION probes_refuse('a search stays what was asked for, and a finished one stays as it is');
"""
BACKWARD = """
DROP TRIGGER probes_search_stays ON probes_search;
DROP TRIGGER probes_probe_stays ON probes_probe;
DROP TRIGGER probes_candidate_no_truncate ON probes_candidate;
DROP TRIGGER probes_candidate_no_delete ON probes_candidate;
DROP TRIGGER probes_candidate_stays ON probes_candidate;
DROP FUNCTION probes_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("probes", "0001_probes")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
