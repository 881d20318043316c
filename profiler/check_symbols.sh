#!/bin/sh
# Checks what libnprof.so exports, and what its signal handler may call.
# Usage: check_symbols.sh LIBRARY FOLDER-OF-SAMPLE-OBJECTS
set -eu

exported=$(nm -D --defined-only "$1" | awk '{ print $3 }')
if [ "$exported" != nprof_library ]; then
    echo "$1 exports more than nprof_library:" "$exported" >&2
    exit 1
fi

# Async-signal-safe; __errno_location is errno's address. The compiler's own
# checks of the stack are no calls that return to us when they fail.
allowed='clock_gettime|syscall|__errno_location|__stack_chk_fail'
# What `make SAN=...` puts in itself; no other build has such calls.
allowed="$allowed|__(asan|tsan|ubsan)_[a-z0-9_]*"
defined='signal_state|handler_cost|thread_slots|loop_state|signal_handler'
defined="$defined|signal_wake_profiler|sample_ring_reserve|sample_ring_commit"
defined="$defined|sample_ring_longest|sample_ring_used|thread_labels|run_delay_ns"

called=$(nm --undefined-only "$2/signal_handler.o" "$2/sample_ring.o" \
    "$2/run_delay.o" |
    awk 'NF == 2 { print $2 }' |
    grep -vxE "$allowed|$defined|_GLOBAL_OFFSET_TABLE_" || true)
if [ -n "$called" ]; then
    echo "the signal handler may not call:" "$called" >&2
    exit 1
fi
