"""A few long-lived decoder processes, shared by the threads of this process.

Each is started with `subprocess` (a fresh program, never a fork of this one: FAISS hangs after fork), given an
empty environment, and replaced when it dies, overruns its deadline or has served its share of pictures.
"""

import atexit
import os
import queue
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mugsearch.engine.decoder import ANSWER, CONFINED, LIMITED, OK, REQUEST

_ROOT: Final = Path(__file__).resolve().parents[2]
# -I: no environment, no user site, no current folder. The root goes last, so that nothing in it hides a library.
_LAUNCH: Final = (
    "import sys; sys.path.append(sys.argv[2]); from mugsearch.engine.decoder import main; main(int(sys.argv[1]))"
)
_PICTURES_PER_CHILD: Final = 500  # bounds what a slow leak in a codec can grow to
_PIPE_BYTES: Final = 2**20


class ChildDiedError(Exception):
    """The child ended or broke the protocol while working."""


class DeadlineMissedError(Exception):
    """The child did not finish in time, or none became free in time."""


class Answer:
    """What a child said, checked against what was asked: `pixels` (HxWx3 uint8) only when `outcome` is OK."""

    def __init__(self, outcome: int, detail: int, pixels: NDArray[np.uint8] | None) -> None:
        self.outcome = outcome
        self.detail = detail
        self.pixels = pixels


class Child:
    """One decoder process. Not for two threads at once."""

    def __init__(self, *, memory_bytes: int, deadline: float) -> None:
        # A fixed program text and a number; nothing of a request reaches the command line.
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _LAUNCH, str(memory_bytes), str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            close_fds=True,
            bufsize=0,
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise ChildDiedError  # for the type checker: both are pipes
        self.memory_bytes = memory_bytes
        self.served = 0
        self._into = self.process.stdin.fileno()
        self._out_of = self.process.stdout.fileno()
        os.set_blocking(self._into, False)
        os.set_blocking(self._out_of, False)
        _widen(self._into)
        _widen(self._out_of)
        hello = bytearray(1)
        try:
            self._receive(memoryview(hello), deadline)
        except (ChildDiedError, DeadlineMissedError):
            self.end()
            raise
        if bytes(hello) not in {CONFINED, LIMITED}:
            self.end()
            raise ChildDiedError
        self.confined = bytes(hello) == CONFINED

    def ask(
        self, data: bytes, format_number: int, *, max_pixels: int, max_side: int, cpu_seconds: int, deadline: float
    ) -> Answer:
        """Have `data` decoded. Raises `ChildDiedError` or `DeadlineMissedError`; the child is then of no more
        use."""
        self._send(REQUEST.pack(max_pixels, max_side, cpu_seconds, format_number, len(data)), deadline)
        self._send(data, deadline)
        head = bytearray(ANSWER.size)
        self._receive(memoryview(head), deadline)
        outcome, answered_format, detail, width, height = ANSWER.unpack(head)
        # A picture may have taken the child over: its answer is held against the request like any input.
        if answered_format != format_number:
            raise ChildDiedError
        self.served += 1
        if outcome != OK:
            return Answer(outcome, detail, None)
        if not 0 < width * height <= max_pixels or max(width, height) > max_side:
            raise ChildDiedError
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        self._receive(pixels.data.cast("B"), deadline)
        return Answer(outcome, detail, pixels)

    def usable(self) -> bool:
        return self.process.poll() is None and self.served < _PICTURES_PER_CHILD

    def end(self) -> None:
        """Kill the process and wait for it."""
        self.process.kill()
        self.process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close this process's ends of the pipes, and no more: the child may be another process's (after a
        fork)."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            _wait(self._into, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._into, rest[:_PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChildDiedError from error

    def _receive(self, into: memoryview, deadline: float) -> None:
        rest = into
        while rest:
            _wait(self._out_of, select.POLLIN, deadline)
            try:
                got = os.readv(self._out_of, [rest[:_PIPE_BYTES]])
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChildDiedError from error
            if not got:
                raise ChildDiedError
            rest = rest[got:]


def _wait(descriptor: int, event: int, deadline: float) -> None:
    left = deadline - time.monotonic()
    waiting = select.poll()
    waiting.register(descriptor, event)
    if left <= 0 or not waiting.poll(left * 1000):
        raise DeadlineMissedError


def _widen(pipe: int) -> None:
    """A larger pipe means fewer switches for large pictures; Linux only, and no matter when refused."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            return


class Pool:
    """`size` places for children, started when first needed. Safe for threads; `after_fork` for forked
    processes."""

    def __init__(self, size: int = 2) -> None:
        self.size = size
        self._open()

    def _open(self) -> None:
        # Last used first, so that a quiet service keeps one warm child and lets the others rest.
        self._places: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(self.size):
            self._places.put(None)
        self._all: set[Child] = set()
        self._lock = threading.Lock()

    def take(self, *, memory_bytes: int, wait_until: float, deadline: float) -> Child:
        """A child to use alone, to be given back with `give`. Raises `queue.Empty` when none is free in time,
        `ChildDiedError` or `DeadlineMissedError` when none could be started."""
        child = self._places.get(timeout=max(0.0, wait_until - time.monotonic()))
        if child is not None and child.usable() and child.memory_bytes == memory_bytes:
            return child
        try:
            if child is not None:
                self._end(child)
            return self._start(memory_bytes, deadline)
        except BaseException:
            self._places.put(None)
            raise

    def give(self, child: Child, *, fit: bool) -> None:
        """Give `child` back; `fit=False` ends it."""
        with self._lock:
            known = child in self._all
        if fit and known:
            self._places.put(child)
            return
        self._end(child)
        self._places.put(None)

    def close(self) -> None:
        """End every child, also those at work (their callers see `ChildDiedError`); later calls start new ones."""
        with self._lock:
            children = list(self._all)
            self._all.clear()
        for child in children:
            child.process.kill()
            child.process.wait()

    def after_fork(self) -> None:
        """In a forked process: forget the parent's children without touching them, begin with empty places."""
        for child in self._all:
            child.let_go()
        self._open()

    def _start(self, memory_bytes: int, deadline: float) -> Child:
        child = Child(memory_bytes=memory_bytes, deadline=deadline)
        with self._lock:
            self._all.add(child)
        return child

    def _end(self, child: Child) -> None:
        with self._lock:
            self._all.discard(child)
        child.end()


POOL: Final = Pool()
atexit.register(POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.after_fork)
