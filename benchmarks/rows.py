"""Bookings with photographs, keys and random vectors: some as an import writes them, but for the encoder's work, and
many for others to be searched among."""

import os
from typing import Any

BYTES, BATCH = 40_000, 2000  # of a photograph; rows at a time
DIMENSION = 128


def agency_and_encoder() -> tuple[Any, Any]:
    from mugsearch.accounts.models import Agency
    from mugsearch.gallery.models import Encoder

    agency, _ = Agency.objects.get_or_create(code="bench", defaults={"name": "Benchmark"})
    about = {"spec": "bench", "name": "bench", "dimension": DIMENSION, "licence": "None", "state": "active"}
    encoder, _ = Encoder.objects.get_or_create(digest="b" * 64, defaults=about)
    return agency, encoder


def bookings(count: int, photos: int, *, first: int = 0, files: bool) -> list[Any]:
    """Each of a person of its own, with so many enrolled photographs; with their files or without."""
    import numpy as np
    from django.db import transaction

    from mugsearch.gallery import changes, vectors
    from mugsearch.gallery.models import Booking, Person, Photo, Template
    from mugsearch.vault import services as vault

    agency, encoder = agency_and_encoder()
    random = np.random.default_rng(first)
    face = {"box": [10.0, 10.0, 90.0, 110.0], "landmarks": [[30.5, 40.5]] * 5, "score": 0.98}
    made: list[Any] = []
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        people = [Person(agency=agency, person_id=f"P-{number}") for number in numbers]
        some = [
            Booking(agency=agency, person=person, booking_number=f"B-{number}", charge=f"Offence {number % 90}")
            for person, number in zip(people, numbers, strict=True)
        ]
        vault.create_keys([one.pk for one in (*people, *some)])
        for one in (*people, *some):
            one.seal()
        images = [
            Photo(
                booking=one, sha256=os.urandom(32).hex(), format="PNG", width=9, height=9, state="enrolled",
                face=face, faces=[face], quality={"score": 80, "reasons": [], "measures": {}},
            )
            for one in some
            for _ in range(photos)
        ]  # fmt: skip
        units = random.standard_normal((len(images), encoder.dimension), np.float32)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        sealed = (vectors.sealed(photo, encoder, unit) for photo, unit in zip(images, units, strict=True))
        templates = [
            Template(photo=photo, encoder=encoder, sealed_vector=vector)
            for photo, vector in zip(images, sealed, strict=True)
        ]
        for photo in images if files else ():
            vault.store_file(photo.booking_id, photo.pk, os.urandom(BYTES))
        with transaction.atomic():
            for model, rows in ((Person, people), (Booking, some), (Photo, images), (Template, templates)):
                model.objects.bulk_create(rows)
            changes.put(templates)
        made += some
    return made


def crowd(photos: int, each: int) -> None:
    """So many photographs, `each` to a booking, made by PostgreSQL in the sizes of real ones; the keys are real, and
    the vectors are in the index alone. Nobody can open anything of them."""
    from django.db import connection, transaction

    from mugsearch import ownership
    from mugsearch.vault import services as vault

    agency, encoder = agency_and_encoder()
    # The service may make no table, not even one for the moment.
    with ownership.acting(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CROWD, {"agency": agency.pk, "encoder": encoder.pk, "bookings": photos // each, "each": each})
        cursor.execute("SELECT id FROM gallery_person UNION ALL SELECT id FROM gallery_booking")
        owners = [owner for (owner,) in cursor.fetchall()]
        for start in range(0, len(owners), 10 * BATCH):
            vault.create_keys(owners[start : start + 10 * BATCH])


def index_crowd() -> None:
    """Random vectors under the numbers of all templates there are."""
    import numpy as np

    from mugsearch.gallery import filling, live

    _, encoder = agency_and_encoder()
    index = live._opened(encoder).index  # noqa: SLF001  filled past what fills it
    random = np.random.default_rng(1)
    ids = filling.recorded(encoder)
    for start in range(0, len(ids), 10 * BATCH):
        some = ids[start : start + 10 * BATCH]
        units = random.standard_normal((len(some), encoder.dimension), np.float32)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        with index.change() as change:
            change.put(some, units)
            change.reached = int(some[-1])
            if start + len(some) == len(ids):
                (change.generation, change.mark), change.complete = filling.newest(), True


_CROWD = """
CREATE TEMPORARY TABLE crowd ON COMMIT DROP AS
    SELECT n, gen_random_uuid() person, gen_random_uuid() booking FROM generate_series(1, %(bookings)s) n;
INSERT INTO gallery_person (id, agency_id, sealed, id_digest, name_digest, birth_year, sex, created_at)
    SELECT person, %(agency)s, decode(repeat(md5(n::text), 9), 'hex'), md5('i' || n) || md5('j' || n),
    md5('n' || n) || md5('o' || n), 1950 + n %% 50, 'M', now() FROM crowd;
INSERT INTO gallery_booking (id, agency_id, person_id, sealed, number_digest, booked_on, ruled_since, charge,
    disposition, created_at, height_in, weight_lb)
    SELECT booking, %(agency)s, person, decode(repeat(md5('b' || n), 4), 'hex'), md5('b' || n) || md5('c' || n),
    date '2020-01-01' + n %% 2000, now(), 'Offence ' || n %% 90, '', now(), 60 + n %% 20, 120 + n %% 100 FROM crowd;
INSERT INTO gallery_photo (id, booking_id, agency_id, sha256, format, width, height, pose, state, trouble, refusal,
    faces, face, quality, created_at)
    SELECT gen_random_uuid(), booking, %(agency)s, md5(n::text || m) || md5('s' || n || m), 'PNG', 480, 600, 'frontal',
    'enrolled', '', '', jsonb_build_array(face), face, '{"score": 80, "reasons": [], "measures": {}}', now()
    FROM crowd, generate_series(1, %(each)s) m, LATERAL (SELECT jsonb_build_object('box', jsonb_build_array(10.25, 20.5,
    n %% 300, m), 'landmarks', jsonb_build_array(n, m, n, m, n, m, n, m, n, m), 'score', 0.98) face) of;
INSERT INTO gallery_template (photo_id, encoder_id, sealed_vector, created_at)
    SELECT id, %(encoder)s, decode(repeat(md5(id::text), 34), 'hex'), now() FROM gallery_photo;
"""
