"""Takes away from a process what a student's function does not need: network, time, memory, disk.

It is no sandbox against a determined attacker. What the system does not offer is left out: there
are no limits on Windows, and no namespaces on macOS or where a container forbids them.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CPU_SECONDS, MEMORY, FILE_SIZE, PROCESSES = 10, 2 * 2**30, 2**24, 8
NEW_MOUNTS, NEW_NETWORK, NEW_USER, NEW_PROCESSES = 0x20000, 0x40000000, 0x10000000, 0x20000000
DEATH_SIGNAL, DUMPABLE, KEEP_CAPABILITIES, NO_NEW_RIGHTS = 1, 4, 8, 38  # of prctl
READ_EVERYTHING = 1 << 2  # CAP_DAC_READ_SEARCH
NOBODY = 60_000  # the first of the users that children become where the teacher is root
PRIVATE, RECURSIVE, BIND = 1 << 18, 16384, 4096  # of mount
MOUNT_SETATTR = 442  # a system call


def hide_memory() -> None:
    """Keeps other processes of the same user out of this one's memory (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DUMPABLE, 0, 0, 0, 0)


def enter(room: Path, hidden: Sequence[Path], worker: int, seconds: int = CPU_SECONDS) -> None:
    """Shuts this process in: a session of its own, no network, limits, `hidden` folders empty.

    On Linux where it is allowed, a child of this process goes on, and with it ends all that it
    started. `room` is the folder with what it may read; `worker` tells processes at once apart;
    `seconds` of processor time are what it has.
    """
    with contextlib.suppress(OSError):
        os.setsid()
    silence()
    if sys.platform == "linux":
        enter_namespaces(room, hidden)
        step_down(room, worker)
    limit(seconds)


def close_all_but(kept: int) -> None:
    """Closes what a child inherits, but one descriptor: a word to the server of forks ends it."""
    most = 4096 if resource is None else min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2**16)
    os.closerange(3, kept)
    os.closerange(kept + 1, most)


def silence() -> None:
    """Sends what is printed nowhere, and reads nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def can_separate() -> bool:
    """Tells whether this system lets a process leave the network, the others and folders behind."""
    if sys.platform != "linux":
        return False
    child = os.fork()
    if child == 0:
        alone = NEW_NETWORK | NEW_PROCESSES | NEW_MOUNTS | (NEW_USER if os.getuid() else 0)
        os._exit(min(1, -ctypes.CDLL(None).unshare(alone)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def enter_namespaces(room: Path, hidden: Sequence[Path]) -> None:
    """Leaves the network, the other processes and some folders behind, as far as allowed."""
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    alone = NEW_NETWORK | NEW_PROCESSES | NEW_MOUNTS
    if user != 0:
        alone |= NEW_USER
    if libc.unshare(alone) != 0:
        if libc.unshare(NEW_USER | NEW_NETWORK) != 0:
            libc.unshare(NEW_NETWORK)
        return
    if user != 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    seal(libc, room, hidden)
    child = os.fork()  # the first process of the new space: with it all others end
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def seal(libc: ctypes.CDLL, room: Path, hidden: Sequence[Path]) -> None:
    """Makes all folders read-only but room/scratch, which holds 64 MB; those hidden are empty."""
    libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None)
    python = {Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place}
    for folder in hidden:
        cover(libc, folder, {room, *(place for place in python if place not in hidden)})
    read_only = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # set MOUNT_ATTR_RDONLY, clear nothing
    libc.syscall(MOUNT_SETATTR, -100, b"/", 0x8000, read_only, 32)
    libc.mount(b"none", os.fsencode(room / "scratch"), b"tmpfs", 0, b"size=64m,mode=1777")


def cover(libc: ctypes.CDLL, folder: Path, needed: set[Path]) -> None:
    """Lays an empty folder over one. What is needed of it, as Python itself, stays in its place."""
    inside = [p for p in needed if p.is_dir() and p.is_relative_to(folder)]
    if folder in inside:
        return
    kept = {p: os.open(p, os.O_RDONLY) for p in inside if not set(p.parents) & set(inside)}
    libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=64m,mode=1777")
    for place, descriptor in kept.items():
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
        source = f"/proc/self/fd/{descriptor}".encode()
        libc.mount(source, os.fsencode(place), None, BIND | RECURSIVE, None)
        os.close(descriptor)


def step_down(room: Path, worker: int) -> None:
    """Becomes a user without rights where this one is root, and gives all capabilities up.

    One is kept where Python lies in a folder that only root may enter: to read.
    """
    libc, kept = ctypes.CDLL(None, use_errno=True), 0
    if os.getuid() == 0:
        if not can_be_read_by_all((room, *map(Path, sys.path))):
            kept = READ_EVERYTHING
        libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(NOBODY + worker)
        os.setuid(NOBODY + worker)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0))
    libc.prctl(NO_NEW_RIGHTS, 1, 0, 0, 0)
    libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # it ends with who waits for it


def can_be_read_by_all(folders: Sequence[Path]) -> bool:
    """Tells whether anyone may enter these folders, where they exist, and all above them."""
    for folder in folders:
        for place in (folder, *folder.absolute().parents):
            if place.is_dir() and not place.stat().st_mode & 0o001:
                return False
    return True


def limit(seconds: int = CPU_SECONDS) -> None:
    """Limits the seconds of processor time, memory, the size of a file, the number of processes."""
    if resource is None:
        return
    used = 0
    with contextlib.suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {"RLIMIT_CPU": seconds, "RLIMIT_FSIZE": FILE_SIZE, "RLIMIT_CORE": 0}
    limits |= {"RLIMIT_AS": used + MEMORY, "RLIMIT_NPROC": PROCESSES}
    for name, most in limits.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            hard = most + 1 if name == "RLIMIT_CPU" else most  # a signal that tells, then the end
            resource.setrlimit(getattr(resource, name), (most, hard))
