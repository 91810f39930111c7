"""A broker that is a folder: kombu's file system transport, with its two races closed.

kombu's own writes a message under its final name, so a reader can take it half written, and takes one by moving it
through the system's temporary folder, which on another disk is a copy that two readers can both make. Here a
message gets its name once it is whole, and whoever manages to rename it has it.

A message is gone once it is read: one held by a worker that is killed is lost. That is enough here, because
PostgreSQL says what there is to do and the scheduler looks again. Used through ``CELERY_BROKER_TRANSPORT``.
"""

import time
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """One connection to the folder ``data_folder_in`` of the transport options."""

    # The stubs of its bases disagree about this signature.
    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        # The clock on the wall, not the monotonic one: that starts anew with the machine, and old messages come
        # first.
        whole = Path(self.data_folder_out) / f"{time.time_ns():020d}-{uuid4()}.{queue}.msg"
        draft = whole.with_suffix(".draft")
        try:
            draft.write_text(dumps(payload))
            draft.rename(whole)
        except OSError as error:
            raise ChannelError(f"The message could not be written to {whole.parent}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        ending = f"{queue}.msg"
        for whole in sorted(Path(self.data_folder_in).iterdir()):
            if whole.name.partition(".")[2] != ending:
                continue
            mine = whole.with_suffix(".taken")
            try:
                whole.rename(mine)
            except FileNotFoundError:
                continue
            text = mine.read_text()
            mine.unlink()
            return loads(text)
        raise Empty


class Transport(filesystem.Transport):
    """For ``CELERY_BROKER_TRANSPORT = "mugsearch.launch.folder_broker:Transport"``."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> None:
        # A worker that is asked to end looks up only between two of these; kombu would let it wait for seconds.
        super().drain_events(connection, timeout=timeout and min(timeout, 0.3), **kwargs)
