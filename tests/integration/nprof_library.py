"""libnprof.so in this very process, through its descriptor, without nginx.

Run by tests in a process of its own: python3 -c "from nprof_library import *".
"""

import ctypes
import os
import select

from nginx_instance import MODULES

CPU, WALL, STALL, HEAP, SYMBOL, STATUS = range(6)
TIMERS, JITTER = range(2)

_POINTER = ctypes.c_void_p
_CALLS = (
    ("prepare", ctypes.c_int, ()),
    ("identify", ctypes.c_int, (_POINTER, ctypes.c_char_p, ctypes.c_size_t)),
    ("start", ctypes.c_int, (_POINTER, _POINTER)),
    ("warning", ctypes.c_char_p, (_POINTER,)),
    ("stop", ctypes.c_int, (_POINTER, ctypes.c_uint, _POINTER)),
    ("event_fd", ctypes.c_int, (_POINTER,)),
    ("job_start", ctypes.c_int, (_POINTER, ctypes.c_int, ctypes.c_char_p,
                                 ctypes.c_size_t, _POINTER, _POINTER)),
    ("window_start", ctypes.c_int, (_POINTER, ctypes.c_int, _POINTER,
                                    _POINTER, _POINTER)),
    ("job_finish", None, (_POINTER,)),
    ("hurry", None, (_POINTER, ctypes.c_uint)),
    ("next_notice", ctypes.c_char_p, (_POINTER, _POINTER)),
    ("job_abandon", None, (_POINTER,)),
    ("next_done", _POINTER, (_POINTER,)),
    ("job_owner", _POINTER, (_POINTER,)),
    ("job_result", ctypes.c_int, (_POINTER, _POINTER, _POINTER)),
    ("job_free", None, (_POINTER,)),
    ("empty_profile", ctypes.c_int, (ctypes.c_int, ctypes.c_uint, _POINTER,
                                     _POINTER)),
)


class Config(ctypes.Structure):
    """struct nprof_config of nprof.h."""

    _fields_ = [(name, ctypes.c_uint32) for name in (
        "rate", "types", "stall_threshold_ms", "cpu_engine", "heap_interval",
        "period_ms")] + [
        ("history_size", ctypes.c_uint64), ("store_path", ctypes.c_char_p),
        ("store_max_size", ctypes.c_uint64),
        ("store_keep_seconds", ctypes.c_uint64), ("server", ctypes.c_char_p),
        ("request_labels", ctypes.c_uint32), ("trace", ctypes.c_uint32),
        ("process_id", ctypes.c_uint32)]


class Descriptor(ctypes.Structure):
    """struct nprof_library of nprof.h."""

    _fields_ = [("abi", ctypes.c_uint32), ("size", ctypes.c_uint32),
                ("build_id", ctypes.c_char_p)] + [
        (name, ctypes.CFUNCTYPE(result, *arguments))
        for name, result, arguments in _CALLS]


library = Descriptor.in_dll(
    ctypes.CDLL(str(MODULES / "libnprof.so"), os.RTLD_NOW), "nprof_library")


class Target(ctypes.Structure):
    """struct nprof_target of nprof.h."""

    _fields_ = [("kind", ctypes.c_int), ("url", ctypes.c_char_p)]


class Identity(ctypes.Structure):
    """struct nprof_identity of nprof.h."""

    _fields_ = [("environment", _POINTER), ("service", ctypes.c_char_p),
                ("env", ctypes.c_char_p), ("version", ctypes.c_char_p),
                ("tags", _POINTER), ("n_tags", ctypes.c_uint32),
                ("targets", ctypes.POINTER(Target)),
                ("n_targets", ctypes.c_uint32)]


def upload_to(url, service=b"app"):
    """Before start(): profiles go to Datadog's Agent at that address. What is
    said of it, b"" if nothing."""
    message = ctypes.create_string_buffer(512)
    target = Target(0, url)
    identity = Identity(service=service, targets=ctypes.pointer(target),
                        n_targets=1)
    library.identify(ctypes.byref(identity), message, len(message))
    return message.value


def start(rate=99, types=(CPU, STALL), threshold=10, engine=JITTER,
          interval=512 << 10, period_ms=60000):
    """(0 or -errno, handle)"""
    config = Config(rate, sum(1 << t for t in types), threshold, engine,
                    interval, period_ms=period_ms)
    handle = _POINTER()
    rc = library.start(ctypes.byref(config), ctypes.byref(handle))
    return rc, handle


def profiler_stop(handle, milliseconds, copy=library):
    """0 or -errno; what could not be uploaded is no matter here."""
    unsent = ctypes.c_uint64()
    return copy.stop(handle, milliseconds, ctypes.byref(unsent))


def job_start(handle, kind, text=None):
    """(0 or -errno, job)"""
    job = _POINTER()
    rc = library.job_start(handle, kind, text, len(text or b""), None,
                           ctypes.byref(job))
    return rc, job


def job_wait(handle, timeout=20):
    """The bytes of the next job that is done."""
    done = library.next_done(handle)
    while not done:
        assert select.select([library.event_fd(handle)], [], [], timeout)[0]
        done = library.next_done(handle)
    data, length = _POINTER(), ctypes.c_size_t()
    assert library.job_result(done, ctypes.byref(data),
                              ctypes.byref(length)) == 0
    result = ctypes.string_at(data, length.value)
    library.job_free(done)
    return result
