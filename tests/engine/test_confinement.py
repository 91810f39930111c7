"""The process that reads untrusted bytes can do nothing else. Tried from inside, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from mugsearch.engine import images

_ROOT = Path(__file__).resolve().parents[2]
_TRIES = """
import ctypes, mmap, os, resource, socket, sys, threading
sys.path.insert(0, sys.argv[1])
from mugsearch.engine.confinement import confine
parent = os.getppid()
libc = ctypes.CDLL(None, use_errno=True)
if sys.argv[2] == "confined":
    assert confine(memory_bytes=2**30)

def tried(name, act):
    try:
        act()
    except (OSError, MemoryError) as error:
        print(name, "refused", flush=True)
    else:
        print(name, "done", flush=True)

def clone_a_process():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def start_a_program():
    if sys.argv[2] == "confined":
        os.execv("/bin/true", ["/bin/true"])

def number(call, *arguments):
    if libc.syscall(call, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

tried("network", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close())
tried("local-socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close())
tried("socketpair", lambda: [end.close() for end in socket.socketpair()])
tried("write", lambda: open(sys.argv[3], "wb").close())
tried("read", lambda: open("/etc/passwd", "rb").close())
tried("list", lambda: os.listdir("/"))
tried("remove", lambda: os.unlink(sys.argv[3]))
tried("fork", clone_a_process)
tried("signal", lambda: os.kill(parent, 0))
tried("limits-of-others", lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE))
tried("executable-memory", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC).close())
tried("memory", lambda: bytearray(2**30 + 2**29))
tried("exec", start_a_program)
thread = threading.Thread(target=print, args=("thread", "done"))
thread.start(); thread.join()
"""


def _outcomes(how: str, target: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _TRIES, str(_ROOT), how, str(target)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="the system-call filter is Linux's")
def test_a_confined_process_can_only_compute(tmp_path: Path) -> None:
    free = _outcomes("free", tmp_path / "file")
    assert set(free.values()) == {"done"}, "the tries must succeed where nothing forbids them"
    confined = _outcomes("confined", tmp_path / "file")
    assert confined.pop("thread") == "done"
    assert set(confined) == set(free) - {"thread"}
    assert set(confined.values()) == {"refused"}
    assert not (tmp_path / "file").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_decoders_at_work_are_confined_and_know_nothing_of_our_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mugsearch.engine import decoder_pool

    images.close()
    monkeypatch.setenv("MUGSEARCH_SECRET", "do-not-pass-on")
    assert "no network" in images.isolation()
    (child,) = decoder_pool.POOL._all
    own = Path(f"/proc/{child.process.pid}")
    status = (own / "status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert b"do-not-pass-on" not in (own / "environ").read_bytes()
    assert len(list((own / "fd").iterdir())) <= 4


def test_the_web_process_gets_no_models_by_reading_pictures() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mugsearch.engine.images, mugsearch.engine.quality\n"
        "import mugsearch.engine.encoders\n"
        "heavy = ('cv2', 'numkong', 'faiss', 'onnxruntime', 'insightface', 'django')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(_ROOT)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
