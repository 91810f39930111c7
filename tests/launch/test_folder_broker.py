"""The broker that is a folder."""

from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from mugsearch.launch.folder_broker import Channel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "queue").mkdir()
    return tmp_path


def channel(folder: Path) -> Channel:
    connection = Connection(
        "filesystem://",
        transport="mugsearch.launch.folder_broker:Transport",
        transport_options={
            "data_folder_in": str(folder / "queue"),
            "data_folder_out": str(folder / "queue"),
            "control_folder": str(folder / "control"),
        },
    )
    opened = connection.channel()
    assert isinstance(opened, Channel)
    return opened


def test_messages_come_in_the_order_they_were_sent_and_once(folder: Path) -> None:
    sender, reader = channel(folder), channel(folder)
    for number in range(3):
        sender._put("search", {"number": number})
    assert [reader._get("search")["number"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Empty):
        reader._get("search")
    assert not list((folder / "queue").iterdir())


def test_a_queue_gives_only_its_own_messages(folder: Path) -> None:
    channel(folder)._put("import", {"number": 1})
    with pytest.raises(Empty):
        channel(folder)._get("search")


def test_a_message_that_another_reader_takes_meanwhile_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, slow, fast = channel(folder), channel(folder), channel(folder)
    for number in range(2):
        sender._put("search", {"number": number})
    rename = Path.rename
    taken: list[int] = []

    def rename_too_late(path: Path, target: Path) -> Path:
        if not taken:
            taken.append(-1)
            taken[0] = fast._get("search")["number"]
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_too_late)
    assert slow._get("search")["number"] == 1
    assert taken == [0]


def test_a_message_is_not_seen_before_it_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, reader = channel(folder), channel(folder)
    rename = Path.rename
    seen_early: list[object] = []

    def look_before(path: Path, target: Path) -> Path:
        if path.suffix == ".draft":
            with pytest.raises(Empty):
                seen_early.append(reader._get("search"))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", look_before)
    sender._put("search", {"number": 7})
    assert not seen_early
    assert reader._get("search") == {"number": 7}
