"""Complete is only what was looked for once more: in every table, among keys, files and the entries of the index."""

import ast
import base64
import inspect
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection

from mugsearch.audit.models import Entry
from mugsearch.gallery import encoding, live
from mugsearch.gallery.models import Photo
from mugsearch.retention import last_look, leavings, tasks
from mugsearch.retention.models import ExpungementOrder
from mugsearch.vault import services as vault
from tests.factories import clerk
from tests.gallery_rows import enrol
from tests.retention.arrange import Life, a_life, approved, finish, proved, requested
from tests.retention.test_leads_in_use import exported
from tests.triggers import as_owner

pytestmark = pytest.mark.django_db(transaction=True)

State = ExpungementOrder.State


@pytest.fixture(autouse=True)
def _fake(fake_encoder: object) -> None:
    live.reset()


@pytest.fixture
def queue(settings: Any) -> Path:
    """The folder of the broker's messages."""
    folder = settings.VAR / "broker" / "queue"
    folder.mkdir(parents=True)
    folders = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(folder)}
    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT_OPTIONS = "filesystem://", folders
    return folder


def vacuumed(life: Life) -> ExpungementOrder:
    """Of which only the last look is left."""
    order = approved(requested(life.booking))
    with pytest.MonkeyPatch.context() as stopped:
        stopped.setattr(last_look, "look", None)
        proved(order)
    assert order.vacuumed_at
    assert order.verified_at is None
    return order


def test_an_order_keeps_what_it_has_to_look_for_until_it_has_looked() -> None:
    life = a_life()
    order = vacuumed(life)
    owners, photos = [life.booking.pk, life.booking.person_id], [photo.pk for photo in life.photos]
    assert order.sought["owners"] == [str(one) for one in owners]
    assert sorted(order.sought["photos"]) == sorted(map(str, photos))
    assert len(order.sought["templates"]) == 2
    assert proved(order).state == State.COMPLETE
    assert order.sought == {}
    checks = order.checks["verified_at"]
    assert (checks["ids"], checks["keys"], checks["files"], checks["vectors"], checks["found"]) == (4, 2, 2, 2, 0)
    assert checks["tables"] > 30
    assert str(life.booking.pk) not in json.dumps(order.checks)


@pytest.mark.parametrize("what", ["rows", "keys", "files", "vectors"])
def test_an_order_is_not_complete_while_anything_is_found(what: str, tmp_path: Path) -> None:
    life = a_life()
    order = vacuumed(life)
    photo = life.photos[0]
    if what == "rows":
        other = enrol(9)
        Photo.objects.filter(pk=other.pk).update(quality={"of": str(photo.pk)})
    elif what == "keys":
        vault.create_key(life.booking.pk)
    elif what == "files":
        vault.create_key(other_owner := uuid.uuid4())
        vault.store_file(other_owner, photo.pk, b"back again")
    else:
        encoder = encoding.active()
        index = live.catch_up(encoder)
        vector = index.vectors([life.other.photo.templates.get().pk])
        with index.change() as change:
            change.put([order.sought["templates"][0]], vector)
    assert proved(order).state == State.APPROVED
    assert f"(1 {what})" in order.troubles["verified_at"]
    assert order.sought


def test_the_last_look_finds_an_id_in_any_column_that_can_hold_one() -> None:
    sought = {kind: uuid.uuid4() for kind in ("uuid", "text", "varchar(99)", "jsonb", "text[]", "uuid[]")}
    columns = ", ".join(f'"c {place}" {kind}' for place, kind in enumerate(sought))
    values = [
        one if kind == "uuid" else [one] if kind == "uuid[]" else [f"x{one}"] if kind == "text[]" else f'"{one}"'
        for kind, one in sought.items()
    ]
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE "Another Table" (id serial, {columns})')
        try:
            marks = ", ".join(["%s"] * len(values))
            cursor.execute(f'INSERT INTO "Another Table" VALUES (1, {marks})', values)  # noqa: S608
            assert last_look.look([*sought.values(), uuid.uuid4()]).found == set(sought.values())
        finally:
            cursor.execute('DROP TABLE "Another Table"')


def test_only_the_record_and_line_ups_keep_ids_of_what_is_gone() -> None:
    life = a_life()
    ids = {life.booking.pk, life.booking.person_id, *(photo.pk for photo in life.photos)}
    exported(life)
    assert proved(approved(requested(life.booking))).state == State.COMPLETE
    assert last_look.look(ids).found == set()
    with pytest.MonkeyPatch.context() as everywhere:
        everywhere.setattr(last_look, "KEPT", set())
        assert last_look.look(ids).found == {life.booking.pk, life.photos[0].pk}, "nowhere else, and the person nowhere"
    assert Entry.objects.filter(details__bookings=[str(life.booking.pk)]).exists()


def test_every_task_takes_opaque_ids_and_nothing_else() -> None:
    ours = {name: task.run for name, task in current_app.tasks.items() if name.startswith(("mugsearch.", "reviews."))}
    taken = [(name, one) for name, run in ours.items() for one in inspect.signature(run).parameters.values()]
    assert len(ours) > 15
    wrong = [
        f"{name}({one})"
        for name, one in taken
        if not (one.name.endswith("_id") and one.annotation is str) and one.annotation is not bool
    ]
    assert wrong == []


def test_every_message_that_is_sent_holds_opaque_ids_and_nothing_else() -> None:
    """At all places that send one, so that none hands over a name with the id."""
    root = Path(__file__).resolve().parents[2]
    sent = [call for room in ("mugsearch", "reviews") for path in (root / room).rglob("*.py") for call in sends(path)]
    assert len(sent) > 15
    given = {ast.unparse(one) for call in sent for one in call}
    assert {one for one in given if not re.fullmatch(r"str\(\w+(\.pk|_id)\)|pk|True", one)} == set()


def sends(path: Path) -> Iterator[list[ast.expr]]:
    """What each call that sends a message hands over."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = node.args[1:] if node.func.attr == "send_task" else node.args
            if node.func.attr in ("delay", "apply_async", "send_task"):
                given = [*given, *(one.value for one in node.keywords if one.arg in ("args", "kwargs"))]
                yield [part for one in given for part in (one.elts if isinstance(one, ast.Tuple | ast.List) else [one])]


def test_a_message_about_what_is_gone_is_removed_from_the_folder_and_others_stay(queue: Path) -> None:
    life = a_life()
    other = str(life.other.photo.pk)
    for name, said in (("1", str(life.photos[0].pk)), ("2", other)):
        (queue / f"{name}.import.msg").write_text(json.dumps({"body": "", "headers": {"argsrepr": f"('{said}',)"}}))
    body = "W1siAA=="  # kombu's own, which is no text
    (queue / "3.import.msg").write_text(json.dumps({"body": body}))
    order = proved(approved(requested(life.booking)))
    assert order.state == State.COMPLETE
    assert sorted(path.name for path in queue.iterdir()) == ["2.import.msg", "3.import.msg"]
    checked = order.checks["leavings_gone_at"]
    assert (checked["messages"], checked["removed"]) == (3, 1)


def test_a_message_about_what_is_gone_is_removed_from_redis_and_one_a_worker_is_at_is_waited_for(settings: Any) -> None:
    if not settings.CELERY_BROKER_URL.startswith("redis://"):
        pytest.skip("the broker here is a folder; with CELERY_BROKER_URL=redis://… this runs")
    settings.CELERY_BROKER_URL = f"{settings.CELERY_BROKER_URL.rpartition('/')[0]}/15"  # nobody else's
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    broker.flushdb()
    life = a_life()

    def message(said: object) -> str:
        body = base64.b64encode(json.dumps([[str(said)], {}, {}]).encode()).decode()
        return json.dumps({"body": body, "headers": {}})

    others = message(life.other.photo.pk)
    try:
        broker.rpush("import", others, message(life.photos[0].pk))
        broker.rpush("search\x06\x163", message(life.booking.pk))
        broker.hset("unacked", "tag", json.dumps([json.loads(message(life.photos[1].pk)), "", "import"]))
        order = proved(approved(requested(life.booking)))
        assert order.troubles == {"leavings_gone_at": "A worker is still at a message about it."}
        broker.hdel("unacked", "tag")
        assert proved(order).state == State.COMPLETE
        assert broker.lrange("import", 0, -1) == [others.encode()]
        assert not broker.exists("search\x06\x163")
    finally:
        broker.flushdb()


def test_a_session_that_holds_an_id_of_what_is_gone_ends(page: Any) -> None:
    life = a_life()
    mine, other = page(clerk()), page(clerk())
    session = mine.session
    session["seen"] = [str(life.photos[0].pk)]
    session.save()
    assert proved(approved(requested(life.booking))).state == State.COMPLETE
    assert mine.get("/expungements/").status_code == 302
    assert other.get("/expungements/").status_code == 200
    assert Session.objects.count() == 1


def test_an_upload_that_nobody_finished_is_waited_for_and_then_removed(settings: Any, monkeypatch: Any) -> None:
    order = approved(requested(a_life().booking))
    left = settings.FILE_UPLOAD_TEMP_DIR / "x.upload"
    left.write_bytes(b"a photograph")
    before = order.erased_at.timestamp() - 1
    os.utime(left, (before, before))
    assert proved(order).state == State.APPROVED
    assert "upload" in order.troubles["leavings_gone_at"]
    monkeypatch.setattr(leavings, "ABANDONED", 0)
    assert proved(order).state == State.COMPLETE
    assert not left.exists()


def test_nothing_is_cached() -> None:
    cache.set("a", "value")
    assert cache.get("a") is None


def test_the_scheduler_makes_good_what_was_left(queued: list) -> None:
    order = vacuumed(a_life())
    queued.clear()
    tasks.resume()
    assert queued == [("mugsearch.retention.tasks.finish", ())]
    finish()
    order.refresh_from_db()
    assert order.state == State.COMPLETE
