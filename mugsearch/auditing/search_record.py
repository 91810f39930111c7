"""What the record says of one search, in one query: start, end, gallery, encoder, threshold, probe and both examiners
(EU AI Act art. 12(3)). It asks the audit alone, so it answers for a search whatever has become of its rows."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

QUERY = """
SELECT (finished.details ->> 'started_at')::timestamptz, finished.at,
    (finished.details ->> 'generation')::bigint, (finished.details ->> 'gallery_size')::bigint,
    finished.details ->> 'encoder', finished.details ->> 'encoder_digest',
    (finished.details ->> 'threshold')::float, finished.details ->> 'probe_sha256',
    requested.actor, requested.at,
    ARRAY(
        SELECT concluded.actor FROM audit_entry concluded
        WHERE concluded."case" = finished."case" AND concluded.act = 'examination.concluded'
            AND concluded.outcome = 'done' AND concluded.details ->> 'search' = finished.object_id
        ORDER BY concluded.number
    )
FROM audit_entry finished
LEFT JOIN audit_entry requested ON requested.object_id = finished.object_id
    AND requested.act = 'search.requested' AND requested.outcome = 'done'
WHERE finished.object_id = %s AND finished.act = 'search.finished' AND finished.outcome = 'done'
"""


@dataclass(frozen=True)
class SearchRecord:
    """`threshold`: None in investigation mode. `examiners`: those who concluded, in that order; a third where two
    disagreed."""

    started_at: datetime | None
    finished_at: datetime
    generation: int
    gallery_size: int
    encoder: str
    encoder_digest: str
    threshold: float | None
    probe_sha256: str
    requested_by: UUID | None
    requested_at: datetime | None
    examiners: list[UUID]


def of(search: UUID) -> SearchRecord | None:
    """None while it isn't finished, or when its entries are in the archive."""
    with connection.cursor() as cursor:
        cursor.execute(QUERY, [str(search)])
        row = cursor.fetchone()
    return SearchRecord(*row) if row else None
