"""Conclusions are graded, positive ones have a worksheet, and two people who disagree are followed by a third.

What was concluded before is locked and stays as it was said. What is still being examined takes the grade that says
the same: its examiner sees it before they conclude.
"""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Q

OPEN = """
UPDATE reviews_finding finding
   SET conclusion = CASE conclusion WHEN 'same' THEN '2' WHEN 'different' THEN '-3' ELSE 'no_conclusion' END
  FROM reviews_examination examination
 WHERE examination.id = finding.examination_id AND examination.state = 'claimed';
"""

FORWARD = """
CREATE FUNCTION reviews_rating(conclusion text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN conclusion IN ('-3', '-2', '-1', '0', '1', '2', '3') THEN conclusion::int END
$$;

-- Whom an examination names: those it rates as high as the policy of its search asks. As decision.names.
CREATE FUNCTION reviews_named(examination uuid) RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(finding.candidate_id ORDER BY finding.candidate_id), '{}')
      FROM reviews_finding finding
      JOIN reviews_examination examined ON examined.id = finding.examination_id
      JOIN probes_search searched ON searched.id = examined.search_id
     WHERE finding.examination_id = examination
       AND reviews_rating(finding.conclusion) >= searched.positive_rating
$$;

-- Whether something is said of each component. As worksheet.left.
CREATE FUNCTION reviews_worksheet_filled(worksheet jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT count(*) = 15 FROM jsonb_each(worksheet)
     WHERE key IN ('face_outline', 'hair_line', 'forehead', 'eyebrows', 'eyes', 'nose', 'ears', 'cheeks', 'mouth',
                   'chin', 'neck', 'facial_lines', 'scars', 'marks', 'alterations')
       AND value ->> 'said' IN ('similar', 'different', 'not_visible')
$$;

-- A rule that looks at other rows sees those committed meanwhile under READ COMMITTED only.
CREATE FUNCTION reviews_require_fresh_rows() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM reviews_refuse('examinations change under READ COMMITTED only');
    END IF;
END $$;

CREATE FUNCTION reviews_adjudication_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    named uuid[];
    other uuid[];
BEGIN
    PERFORM reviews_require_fresh_rows();
    IF TG_OP <> 'INSERT' THEN
        PERFORM reviews_refuse('an adjudication is never changed or deleted');
    END IF;
    PERFORM FROM probes_search WHERE id = NEW.search_id FOR NO KEY UPDATE;
    IF (SELECT count(*) FROM reviews_examination WHERE search_id = NEW.search_id AND state = 'concluded') <> 2 THEN
        PERFORM reviews_refuse('an adjudication follows two concluded examinations');
    END IF;
    SELECT reviews_named(id) INTO named FROM reviews_examination
     WHERE search_id = NEW.search_id AND state = 'concluded' ORDER BY id LIMIT 1;
    SELECT reviews_named(id) INTO other FROM reviews_examination
     WHERE search_id = NEW.search_id AND state = 'concluded' ORDER BY id DESC LIMIT 1;
    IF named = other AND cardinality(named) <= 1 THEN
        PERFORM reviews_refuse('two who agree need no third');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reviews_adjudication_rules BEFORE INSERT OR UPDATE OR DELETE ON reviews_adjudication
    FOR EACH ROW EXECUTE FUNCTION reviews_adjudication_rules();
CREATE TRIGGER reviews_adjudication_no_truncate BEFORE TRUNCATE ON reviews_adjudication
    FOR EACH STATEMENT EXECUTE FUNCTION reviews_adjudication_rules();

-- As in migration 0002, but for who has a place, and for drafts and worksheets at the end.
CREATE OR REPLACE FUNCTION reviews_examination_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    searched probes_search%ROWTYPE;
BEGIN
    PERFORM reviews_require_fresh_rows();
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
                        AND finding.conclusion <> ''
                  )
            ) THEN
                PERFORM reviews_refuse('an examination is concluded when every candidate has a finding');
            END IF;
            IF EXISTS (
                SELECT FROM reviews_finding finding
                JOIN probes_candidate candidate ON candidate.id = finding.candidate_id
                WHERE finding.examination_id = NEW.id AND candidate.forgotten_at IS NULL
                  AND reviews_rating(finding.conclusion) > 0 AND NOT reviews_worksheet_filled(finding.worksheet)
            ) THEN
                PERFORM reviews_refuse('a positive conclusion needs its worksheet');
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
        IF EXISTS (
            SELECT FROM reviews_examination other
            JOIN probes_search others ON others.id = other.search_id
            JOIN probes_probe image ON image.id = others.probe_id
            JOIN probes_probe ours ON ours.sha256 = image.sha256
            WHERE ours.id = searched.probe_id AND other.examiner_id = NEW.examiner_id
              AND other.state <> 'released' AND other.search_id <> NEW.search_id
        ) THEN
            PERFORM reviews_refuse('nobody examines an image twice: they know what others found');
        END IF;
        IF reviews_on_case(NEW.examiner_id, NEW.search_id) THEN
            PERFORM reviews_refuse('nobody examines a search of a case they are on');
        END IF;
        IF NOT reviews_certified(NEW.examiner_id) THEN
            PERFORM reviews_refuse('an examination needs a valid certificate');
        END IF;
        IF (SELECT count(*) FROM reviews_examination
            WHERE search_id = NEW.search_id AND state <> 'released')
           >= 2 + (SELECT count(*) FROM reviews_adjudication WHERE search_id = NEW.search_id) THEN
            PERFORM reviews_refuse('two people examine a search, a third only when they disagree');
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- As in migration 0002, but for the words of before, and for what is forgotten with an expunged candidate.
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
    IF TG_OP = 'UPDATE' AND NEW.notes = '' AND NEW.worksheet = '{}'::jsonb
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

-- As in migration 0002, but for what confirms a lead.
CREATE OR REPLACE FUNCTION reviews_lead_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    candidate probes_candidate%ROWTYPE;
BEGIN
    PERFORM reviews_require_fresh_rows();
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
            WHERE examination.id IN (NEW.first_id, NEW.second_id)
              AND examination.search_id = NEW.search_id
              AND examination.state = 'concluded'
              AND reviews_named(examination.id) = ARRAY[NEW.candidate_id]) <> 2 THEN
            PERFORM reviews_refuse('a lead needs two concluded examinations by two people that name it alone');
        END IF;
    END IF;
    RETURN NEW;
END $$;
"""


KNOWN = Q(conclusion__in=["-3", "-2", "-1", "0", "1", "2", "3", "no_conclusion", "unsuitable"])
BEFORE = Q(conclusion__in=["", "same", "different", "inconclusive"])


class Migration(migrations.Migration):
    # There is no way back: three words can't say what nine do.
    dependencies = [("reviews", "0003_how_examinations_go_back"), ("probes", "0006_the_policy_of_a_search")]
    operations = [
        migrations.CreateModel(
            name="Adjudication",
            fields=[
                (
                    "search",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="adjudication",
                        serialize=False,
                        to="probes.search",
                    ),
                ),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.RemoveConstraint(model_name="finding", name="finding_conclusion_known"),
        migrations.AlterField(
            model_name="finding",
            name="conclusion",
            field=models.CharField(
                choices=[
                    ("-3", "−3, strong support for different people"),
                    ("-2", "−2, support for different people"),
                    ("-1", "−1, some support for different people"),
                    ("0", "0, supports neither"),
                    ("1", "+1, some support for the same person"),
                    ("2", "+2, support for the same person"),
                    ("3", "+3, strong support for the same person"),
                    ("no_conclusion", "No conclusion"),
                    ("unsuitable", "Unsuitable for comparison"),
                ],
                blank=True,
                max_length=13,
            ),
        ),
        migrations.AddField(
            model_name="finding",
            name="worksheet",
            field=models.JSONField(blank=True, default=dict, help_text="As reviews.worksheet writes it."),
        ),
        migrations.RunSQL(OPEN),
        migrations.AddConstraint(
            model_name="finding",
            constraint=models.CheckConstraint(condition=KNOWN | BEFORE, name="finding_conclusion_known"),
        ),
        migrations.RunSQL(FORWARD),
    ]
