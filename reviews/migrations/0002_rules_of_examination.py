"""What makes an examination blind, double and final, refused by PostgreSQL whoever writes.

Each rule is also a check in reviews.services, with a sentence for the person; these are for what goes round it.
"""

from django.db import migrations

FORWARD = """
-- The agency's day is not known here: any day that it is today somewhere (UTC-12 to UTC+14). Services know the day.
CREATE FUNCTION reviews_certified(person uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM accounts_examinercertificate
        WHERE examiner_id = person
          AND revoked_at IS NULL
          AND issued_on <= (now() AT TIME ZONE 'UTC' + interval '14 hours')::date
          AND expires_on >= (now() AT TIME ZONE 'UTC' - interval '12 hours')::date
    )
$$;

CREATE FUNCTION reviews_on_case(person uuid, search uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM probes_case_members member
        JOIN probes_probe probe ON probe.case_id = member.case_id
        JOIN probes_search searched ON searched.probe_id = probe.id
        WHERE searched.id = search AND member.user_id = person
    )
$$;

CREATE FUNCTION reviews_refuse(sentence text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', sentence USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION reviews_examination_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    searched probes_search%ROWTYPE;
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        PERFORM reviews_refuse('an examination is never deleted');
    ELSIF TG_OP = 'UPDATE' THEN
        IF OLD.state <> 'claimed' THEN
            PERFORM reviews_refuse('an examination that has ended is locked');
        END IF;
        IF (NEW.id, NEW.search_id, NEW.examiner_id, NEW.secret, NEW.claimed_at)
           IS DISTINCT FROM (OLD.id, OLD.search_id, OLD.examiner_id, OLD.secret, OLD.claimed_at) THEN
            PERFORM reviews_refuse('an examination stays that of its examiner and its search');
        END IF;
        IF NEW.state = 'concluded' THEN
            IF NOT reviews_certified(NEW.examiner_id) THEN
                PERFORM reviews_refuse('an examination is concluded under a valid certificate only');
            END IF;
            -- Again, because a case may have been shared with its examiner in between.
            IF reviews_on_case(NEW.examiner_id, NEW.search_id) THEN
                PERFORM reviews_refuse('nobody examines a search of a case they are on');
            END IF;
            IF EXISTS (
                SELECT FROM probes_candidate candidate
                WHERE candidate.search_id = NEW.search_id AND candidate.forgotten_at IS NULL
                  AND NOT EXISTS (
                      SELECT FROM reviews_finding finding
                      WHERE finding.examination_id = NEW.id AND finding.candidate_id = candidate.id
                  )
            ) THEN
                PERFORM reviews_refuse('an examination is concluded when every candidate has a finding');
            END IF;
        END IF;
    ELSE
        IF NEW.state <> 'claimed' THEN
            PERFORM reviews_refuse('an examination begins claimed');
        END IF;
        -- The lock makes two who claim the last place wait for each other; the count then sees who was first.
        SELECT * INTO searched FROM probes_search WHERE id = NEW.search_id FOR NO KEY UPDATE;
        IF searched.state IS DISTINCT FROM 'done' THEN
            PERFORM reviews_refuse('only a finished search is examined');
        END IF;
        IF searched.requested_by_id = NEW.examiner_id
           OR EXISTS (SELECT FROM probes_probe
                      WHERE id = searched.probe_id AND submitted_by_id = NEW.examiner_id) THEN
            PERFORM reviews_refuse('nobody examines a probe or a search of their own');
        END IF;
        IF reviews_on_case(NEW.examiner_id, NEW.search_id) THEN
            PERFORM reviews_refuse('nobody examines a search of a case they are on');
        END IF;
        IF NOT reviews_certified(NEW.examiner_id) THEN
            PERFORM reviews_refuse('an examination needs a valid certificate');
        END IF;
        IF (SELECT count(*) FROM reviews_examination
            WHERE search_id = NEW.search_id AND state <> 'released') >= 2 THEN
            PERFORM reviews_refuse('two people examine a search, not more');
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_examination_rules BEFORE INSERT OR UPDATE OR DELETE ON reviews_examination
    FOR EACH ROW EXECUTE FUNCTION reviews_examination_rules();
CREATE TRIGGER reviews_examination_no_truncate BEFORE TRUNCATE ON reviews_examination
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_examination_rules();

CREATE FUNCTION reviews_finding_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    examination reviews_examination%ROWTYPE;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM reviews_refuse('findings are never deleted together');
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.examination_id, NEW.candidate_id)
       IS DISTINCT FROM (OLD.examination_id, OLD.candidate_id) THEN
        PERFORM reviews_refuse('a finding stays with its candidate');
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
    IF NOT EXISTS (SELECT FROM probes_candidate
                   WHERE id = NEW.candidate_id AND search_id = examination.search_id) THEN
        PERFORM reviews_refuse('a finding is on a candidate of the search examined');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_finding_rules BEFORE INSERT OR UPDATE OR DELETE ON reviews_finding
    FOR EACH ROW EXECUTE FUNCTION reviews_finding_rules();
CREATE TRIGGER reviews_finding_no_truncate BEFORE TRUNCATE ON reviews_finding
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_finding_rules();

CREATE FUNCTION reviews_lead_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    candidate probes_candidate%ROWTYPE;
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        PERFORM reviews_refuse('a lead is withdrawn, never deleted');
    ELSIF TG_OP = 'UPDATE' THEN
        IF OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
           OR (NEW.id, NEW.search_id, NEW.candidate_id, NEW.first_id, NEW.second_id, NEW.released_at)
              IS DISTINCT FROM (OLD.id, OLD.search_id, OLD.candidate_id, OLD.first_id, OLD.second_id, OLD.released_at)
        THEN
            PERFORM reviews_refuse('a lead can be withdrawn once, nothing else of it changes');
        END IF;
    ELSE
        IF NEW.withdrawn_at IS NOT NULL THEN
            PERFORM reviews_refuse('a lead does not begin withdrawn');
        END IF;
        -- An expungement that is forgetting this candidate ends first, or finds the lead and withdraws it.
        SELECT * INTO candidate FROM probes_candidate WHERE id = NEW.candidate_id FOR SHARE;
        IF candidate.search_id IS DISTINCT FROM NEW.search_id OR candidate.forgotten_at IS NOT NULL THEN
            PERFORM reviews_refuse('a lead is a living candidate of its own search');
        END IF;
        IF (SELECT count(DISTINCT examination.examiner_id)
            FROM reviews_examination examination
            JOIN reviews_finding finding ON finding.examination_id = examination.id
            WHERE examination.id IN (NEW.first_id, NEW.second_id)
              AND examination.search_id = NEW.search_id
              AND examination.state = 'concluded'
              AND finding.candidate_id = NEW.candidate_id
              AND finding.conclusion = 'same') <> 2 THEN
            PERFORM reviews_refuse('a lead needs the same confirmed in two concluded examinations by two people');
        END IF;
        IF EXISTS (SELECT FROM reviews_finding
                   WHERE examination_id IN (NEW.first_id, NEW.second_id)
                     AND conclusion = 'same' AND candidate_id <> NEW.candidate_id) THEN
            PERFORM reviews_refuse('a lead is the only candidate that was confirmed');
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_lead_rules BEFORE INSERT OR UPDATE OR DELETE ON reviews_lead
    FOR EACH ROW EXECUTE FUNCTION reviews_lead_rules();
CREATE TRIGGER reviews_lead_no_truncate BEFORE TRUNCATE ON reviews_lead
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_lead_rules();
"""
BACKWARD = """
DROP TRIGGER reviews_lead_no_truncate ON reviews_lead;
DROP TRIGGER reviews_lead_rules ON reviews_lead;
DROP FUNCTION reviews_lead_rules();
DROP TRIGGER reviews_finding_no_truncate ON reviews_finding;
DROP TRIGGER reviews_finding_rules ON reviews_finding;
DROP FUNCTION reviews_finding_rules();
DROP TRIGGER reviews_examination_no_truncate ON reviews_examination;
DROP TRIGGER reviews_examination_rules ON reviews_examination;
DROP FUNCTION reviews_examination_rules();
DROP FUNCTION reviews_refuse(text);
DROP FUNCTION reviews_on_case(uuid, uuid);
DROP FUNCTION reviews_certified(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_examinations"),
        ("accounts", "0001_people"),
        ("probes", "0001_probes"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
