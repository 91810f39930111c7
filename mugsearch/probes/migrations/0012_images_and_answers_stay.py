"""What is known of a probe and of its edits stays once it was looked at, and the list of a trial holds its answer."""

from django.db import migrations

PROBE = """
DROP TRIGGER probes_probe_stays ON probes_probe;
CREATE TRIGGER probes_probe_stays BEFORE UPDATE ON probes_probe FOR EACH ROW
    WHEN ((NEW.id, NEW.case_id, NEW.submitted_by_id{new})
        IS DISTINCT FROM
        (OLD.id, OLD.case_id, OLD.submitted_by_id{old})
        {looked_at})
    EXECUTE FUNCTION probes_refuse('a probe stays that of its case and of who submitted it');
"""
PURPOSE = ("offence", "legal_basis", "source", "attested_at", "policy_digest", "format", "width", "height")
EDIT = """
DROP TRIGGER probes_probeedit_stays ON probes_probeedit;
CREATE TRIGGER probes_probeedit_stays BEFORE UPDATE ON probes_probeedit FOR EACH ROW
    WHEN ((NEW.id, NEW.probe_id, NEW.number, NEW.steps, NEW.made_by_id, NEW.made_at, NEW.width, NEW.height{new})
        IS DISTINCT FROM
        (OLD.id, OLD.probe_id, OLD.number, OLD.steps, OLD.made_by_id, OLD.made_at, OLD.width, OLD.height{old})
        {looked_at})
    EXECUTE FUNCTION probes_refuse('an edit stays as it was made');
"""
FACES = "OR (OLD.state <> 'received' AND NEW.faces IS DISTINCT FROM OLD.faces AND NEW.faces <> '[]')"
# Faces and digest may be emptied, which an erasure does; nothing is looked at again.
LOOKED_AT = (
    FACES
    + """
        OR (OLD.state <> 'received' AND NEW.state = 'received')
        OR (NEW.sha256 IS DISTINCT FROM OLD.sha256 AND NEW.sha256 <> '')"""
)

ANSWERS = """
CREATE FUNCTION probes_trial_holds_its_answer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE searched uuid; right_answer boolean;
BEGIN
    IF TG_TABLE_NAME = 'probes_search' THEN searched := NEW.id; ELSE searched := NEW.search_id; END IF;
    SELECT COALESCE(array_agg(listed.rank) FILTER (WHERE photo.subject_id = wanted.subject_id), '{}')
            = CASE WHEN trial.mate_rank IS NULL THEN '{}' ELSE ARRAY[trial.mate_rank] END
            AND count(photo.subject_id) = count(DISTINCT photo.subject_id)
            AND NOT bool_or(COALESCE(photo.id = wanted.id, false))
        INTO right_answer
        FROM probes_search search
        JOIN trials_trial trial ON trial.id = search.trial_id
        JOIN trials_trialphoto wanted ON wanted.id = trial.photo_id
        LEFT JOIN probes_candidate listed ON listed.search_id = search.id
        LEFT JOIN trials_trialphoto photo ON photo.id = listed.trial_photo_id
        WHERE search.id = searched
        GROUP BY trial.mate_rank;
    IF NOT right_answer THEN
        RAISE EXCEPTION 'the list of a trial holds the person where the trial says, and nowhere else'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER probes_trial_holds_its_answer AFTER INSERT ON probes_search
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.trial_id IS NOT NULL)
    EXECUTE FUNCTION probes_trial_holds_its_answer();
CREATE CONSTRAINT TRIGGER probes_trial_holds_its_answer AFTER INSERT ON probes_candidate
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.trial_photo_id IS NOT NULL)
    EXECUTE FUNCTION probes_trial_holds_its_answer();
"""
UNANSWERED = """
DROP TRIGGER probes_trial_holds_its_answer ON probes_candidate;
DROP TRIGGER probes_trial_holds_its_answer ON probes_search;
DROP FUNCTION probes_trial_holds_its_answer();
"""


def of(table: str, columns: tuple[str, ...]) -> str:
    return "".join(f", {table}.{column}" for column in columns)


def stays(columns: tuple[str, ...], text: str, looked_at: str) -> str:
    return text.format(new=of("NEW", columns), old=of("OLD", columns), looked_at=looked_at)


class Migration(migrations.Migration):
    dependencies = [("probes", "0011_probe_edits"), ("trials", "0002_photographs_stay")]
    operations = [
        migrations.RunSQL(stays(PURPOSE, PROBE, LOOKED_AT), stays((), PROBE, "")),
        migrations.RunSQL(stays((), EDIT, LOOKED_AT), stays(("sha256",), EDIT, FACES)),
        migrations.RunSQL(ANSWERS, UNANSWERED),
    ]
