"""Who is or was on a case stays on record, and a case always has somebody who is responsible for it."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from mugsearch import going_back

# Since when and by whom is known from the record, where the case was shared; who opened it is on it since then.
FILL = """
INSERT INTO probes_membership (case_id, user_id, since, added_by_id, reason)
SELECT member.case_id, member.user_id, coalesce(shared.at, opened.created_at),
       CASE WHEN member.user_id = opened.opened_by_id THEN opened.opened_by_id ELSE adder.id END, ''
FROM probes_case_members member JOIN probes_case opened ON opened.id = member.case_id
LEFT JOIN LATERAL (
    SELECT entry.at, entry.actor FROM audit_entry entry
    WHERE entry.act = 'case.shared' AND entry.outcome = 'done' AND entry."case" = member.case_id
      AND entry.details ->> 'with_user' = member.user_id::text ORDER BY entry.number LIMIT 1
) shared ON member.user_id <> opened.opened_by_id
LEFT JOIN accounts_user adder ON adder.id = shared.actor;
UPDATE probes_case opened SET responsible_id = (
    SELECT member.user_id FROM probes_case_members member WHERE member.case_id = opened.id
    ORDER BY member.user_id = opened.opened_by_id DESC, member.id LIMIT 1
);
"""
RULES = """
CREATE FUNCTION probes_keep_memberships() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE probes_membership SET until = clock_timestamp()
        WHERE case_id = OLD.case_id AND user_id = OLD.user_id AND until IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO probes_membership (case_id, user_id, since, reason)
        VALUES (NEW.case_id, NEW.user_id, clock_timestamp(), '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER probes_keep_memberships AFTER INSERT OR UPDATE OR DELETE ON probes_case_members
    FOR EACH ROW EXECUTE FUNCTION probes_keep_memberships();

-- Who added and ended it, and why, is said once; that somebody is on the case is said by its members, here as there.
CREATE FUNCTION probes_membership_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'DELETE'
       AND (NEW.until IS NOT NULL OR EXISTS (
           SELECT FROM probes_case_members WHERE case_id = NEW.case_id AND user_id = NEW.user_id))
       AND (TG_OP = 'INSERT' AND NEW.until IS NULL
            OR TG_OP = 'UPDATE'
            AND (NEW.id, NEW.case_id, NEW.user_id, NEW.since)
                IS NOT DISTINCT FROM (OLD.id, OLD.case_id, OLD.user_id, OLD.since)
            AND (NEW.until IS NOT DISTINCT FROM OLD.until OR OLD.until IS NULL AND NOT EXISTS (
                SELECT FROM probes_case_members WHERE case_id = NEW.case_id AND user_id = NEW.user_id))
            AND (OLD.added_by_id IS NULL OR NEW.added_by_id IS NOT DISTINCT FROM OLD.added_by_id)
            AND (OLD.ended_by_id IS NULL OR NEW.ended_by_id IS NOT DISTINCT FROM OLD.ended_by_id)
            AND (OLD.reason = '' OR NEW.reason = OLD.reason)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'who is or was on a case stays on record' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER probes_membership_rules BEFORE INSERT OR UPDATE OR DELETE ON probes_membership
    FOR EACH ROW EXECUTE FUNCTION probes_membership_rules();
CREATE TRIGGER probes_membership_no_truncate BEFORE TRUNCATE ON probes_membership FOR EACH STATEMENT
    EXECUTE FUNCTION probes_refuse('who is or was on a case stays on record');

-- At the end of the transaction, so that a case can change hands; the lock makes two who leave wait for each other.
CREATE FUNCTION probes_case_of_somebody() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_case uuid;
    in_charge uuid;
BEGIN
    IF TG_TABLE_NAME = 'probes_case' THEN
        of_case := NEW.id;
    ELSE
        of_case := OLD.case_id;
    END IF;
    SELECT responsible_id INTO in_charge FROM probes_case WHERE id = of_case FOR NO KEY UPDATE;
    IF FOUND AND in_charge IS NOT NULL AND NOT EXISTS (
        SELECT FROM probes_case_members WHERE case_id = of_case AND user_id = in_charge) THEN
        RAISE EXCEPTION 'who is responsible for a case is on it' USING ERRCODE = 'check_violation';
    END IF;
    IF FOUND AND TG_TABLE_NAME <> 'probes_case'
       AND NOT EXISTS (SELECT FROM probes_case_members WHERE case_id = of_case) THEN
        RAISE EXCEPTION 'a case is never left with nobody' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER probes_case_of_somebody AFTER UPDATE OR DELETE ON probes_case_members
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION probes_case_of_somebody();
CREATE CONSTRAINT TRIGGER probes_case_of_somebody AFTER INSERT OR UPDATE OF responsible_id ON probes_case
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION probes_case_of_somebody();
"""
BACK = """
DROP TRIGGER probes_case_of_somebody ON probes_case;
DROP TRIGGER probes_case_of_somebody ON probes_case_members;
DROP FUNCTION probes_case_of_somebody();
DROP TRIGGER probes_membership_no_truncate ON probes_membership;
DROP TRIGGER probes_membership_rules ON probes_membership;
DROP FUNCTION probes_membership_rules();
DROP TRIGGER probes_keep_memberships ON probes_case_members;
DROP FUNCTION probes_keep_memberships();
"""
USER = {"on_delete": django.db.models.deletion.PROTECT, "related_name": "+", "to": settings.AUTH_USER_MODEL}


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("audit", "0003_indexes_by_number"),
        ("probes", "0015_erased_probes"),
    ]
    operations = [
        migrations.AddField("case", "responsible", models.ForeignKey(null=True, **USER)),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("reason", models.TextField(blank=True, max_length=1000)),
                ("until", models.DateTimeField(editable=False, null=True)),
                ("added_by", models.ForeignKey(null=True, **USER)),
                (
                    "case",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="memberships", to="probes.case"
                    ),
                ),
                ("ended_by", models.ForeignKey(null=True, **USER)),
                ("user", models.ForeignKey(**USER)),
            ],
            options={
                "ordering": ["since", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("until__isnull", True)),
                        fields=("case", "user"),
                        name="on_a_case_once_at_a_time",
                    )
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RunSQL(RULES, BACK),
        # The others are found again as they were found first.
        going_back.refused_for(
            "probes_membership WHERE until IS NOT NULL OR reason <> ''",
            "who was on a case, and why, is on record",
        ),
    ]
