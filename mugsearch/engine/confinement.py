"""Locks the process that reads untrusted pictures into itself.

Called once by `decoder.main`, after everything it will ever need has been imported. Two layers:

- resource limits (every POSIX system): address space, open files, no file may grow, no core dump;
- a seccomp filter (Linux on x86_64 and aarch64): only the calls a decoder needs to compute are let through.
  Everything else (opening any file, sockets, starting programs or processes, ptrace, io_uring, reading another
  process's memory, making memory executable) answers EPERM. Unknown calls are refused too: new kernels keep
  adding ways out, so the list names what is allowed, not what is forbidden.

The filter can't be taken off again, not even by the process itself (seccomp(2)).
"""

import ctypes
import errno
import platform
import resource
import socket
import struct
import sys
from typing import Final

# linux/seccomp.h, linux/filter.h, linux/prctl.h, linux/audit.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM
_ABSENT: Final = 0x00050000 | errno.ENOSYS
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_PROT_EXEC: Final = 0x4
_CLONE_THREAD: Final = 0x10000
_X32_BIT: Final = 0x40000000

# Call numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
# read write close fstat poll/ppoll lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn readv writev
# sched_yield mremap madvise nanosleep getpid exit gettimeofday getrlimit getrusage sysinfo sigaltstack gettid
# futex sched_getaffinity setrlimit restart_syscall clock_gettime clock_getres clock_nanosleep exit_group
# set_robust_list getrandom membarrier rseq
_CALLS: Final[dict[str, tuple[int, tuple[int, ...]]]] = {
    "x86_64": (
        0xC000003E,
        (
            *(0, 1, 3, 5, 7, 8, 11, 12, 13, 14, 15, 19, 20, 24, 25, 28, 35, 39, 60, 96, 97, 98, 99, 131, 186),
            *(202, 204, 160, 219, 228, 229, 230, 231, 273, 318, 324, 334),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(63, 64, 57, 80, 73, 62, 215, 214, 134, 135, 139, 65, 66, 124, 216, 233, 101, 172, 93, 169, 163, 165),
            *(179, 132, 178, 98, 123, 164, 128, 113, 114, 115, 94, 99, 278, 283, 293),
        ),
    ),
}
# mmap, mprotect, clone, prlimit64, clone3: allowed only with harmless arguments.
_CHECKED: Final[dict[str, tuple[int, int, int, int, int]]] = {
    "x86_64": (9, 10, 56, 302, 435),
    "aarch64": (222, 226, 220, 261, 435),
}


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _argument(number: int) -> bytes:
    # struct seccomp_data: nr, arch, instruction pointer, then 64-bit arguments; the low half is enough here.
    return _step(_LOAD, 16 + 8 * number)


def _filter(machine: str) -> bytes:
    arch, allowed = _CALLS[machine]
    mmap, mprotect, clone, prlimit, clone3 = _CHECKED[machine]
    steps = [
        _step(_LOAD, 4),
        _step(_EQUAL, arch, yes=1),
        _step(_RETURN, _REFUSE),
        _step(_LOAD, 0),
        _step(_AT_LEAST, _X32_BIT, no=1),  # the x32 face of x86_64 has numbers of its own
        _step(_RETURN, _REFUSE),
    ]
    for call in allowed:
        steps += [_step(_EQUAL, call, no=1), _step(_RETURN, _ALLOW)]
    for call in (mmap, mprotect):
        steps += [_step(_EQUAL, call, no=4), _argument(2), _step(_ANY_BIT, _PROT_EXEC, yes=1)]
        steps += [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)]
    # A thread (libde265 starts some) is fine, a process is not.
    steps += [_step(_EQUAL, clone, no=4), _argument(0), _step(_ANY_BIT, _CLONE_THREAD, no=1)]
    steps += [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)]
    # Only our own limits: prlimit64 can aim at other processes.
    steps += [_step(_EQUAL, prlimit, no=4), _argument(0), _step(_EQUAL, 0, no=1)]
    steps += [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)]
    # clone3 hides its flags in memory a filter can't read; "not there" makes glibc fall back to clone.
    steps += [_step(_EQUAL, clone3, no=1), _step(_RETURN, _ABSENT)]
    steps.append(_step(_RETURN, _REFUSE))
    return b"".join(steps)


def _install(program: bytes) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // 8, ctypes.addressof(held))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0) == 0)


def _sockets_are_refused() -> bool:
    """Whether the filter is really in force: asked of the kernel, not assumed."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except PermissionError:
        return True
    return False


def _lower(kind: int, value: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def confine(*, memory_bytes: int) -> bool:
    """Confine this process for good; True when the seccomp filter is in force, False with resource limits alone.

    `memory_bytes` is the whole address space, the interpreter and libraries included. Raises OSError or ValueError
    when the system refuses a limit: the caller must then not go on to read pictures.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NOFILE, 8)
    if sys.platform != "darwin":  # macOS knows the constant but refuses to set it
        _lower(resource.RLIMIT_AS, memory_bytes)
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if sys.platform != "linux" or machine not in _CALLS or sys.maxsize <= 2**32 or sys.byteorder != "little":
        return False
    return _install(_filter(machine)) and _sockets_are_refused()


def allow_cpu(seconds: int) -> None:
    """Allow this process `seconds` more of processor time from now; the kernel ends it with SIGXCPU beyond
    that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))
