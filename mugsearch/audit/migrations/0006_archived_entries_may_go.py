"""Entries may be deleted by the owner of the table, and only the whole of the oldest archived span in one statement."""

from django.db import migrations

# Each row is looked at before it goes, as ever; and the statement after it, when all that it deleted is known: then it
# stands or is undone as a whole.
FORWARD = """
CREATE FUNCTION audit_let_archived_go() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    lowest bigint; highest bigint; how_many bigint; newest timestamptz; ending text;
BEGIN
    SELECT min(number), max(number), count(*), max(at) INTO lowest, highest, how_many, newest FROM gone;
    IF how_many = 0 THEN
        RETURN NULL;
    END IF;
    SELECT digest INTO ending FROM gone WHERE number = highest;
    IF how_many <> highest - lowest + 1
        OR NOT EXISTS (SELECT FROM audit_archivedspan WHERE first = lowest AND last = highest AND digest = ending)
        OR newest > now() - interval '365 days'
        OR EXISTS (SELECT FROM audit_entry WHERE number < highest)
        OR NOT EXISTS (SELECT FROM audit_entry WHERE number = highest + 1 AND previous = ending)
        OR NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
    THEN
        RAISE EXCEPTION 'the audit is append-only: DELETE refused' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION audit_refuse_unarchived() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM audit_archivedspan WHERE OLD.number BETWEEN first AND last) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER audit_entry_append_only ON audit_entry;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_unarchived();
CREATE TRIGGER audit_entry_only_archived_go AFTER DELETE ON audit_entry
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_let_archived_go();
"""
BACKWARD = """
DROP TRIGGER audit_entry_only_archived_go ON audit_entry;
DROP TRIGGER audit_entry_append_only ON audit_entry;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
DROP FUNCTION audit_refuse_unarchived();
DROP FUNCTION audit_let_archived_go();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_archived_spans")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
