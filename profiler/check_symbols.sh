#!/bin/sh
# Checks what libnprof.so exports, and what its signal handler and its allocation
# hooks may call.
# Usage: check_symbols.sh LIBRARY FOLDER-OF-OBJECTS
set -eu

exported=$(nm -D --defined-only "$1" | awk '{ print $3 }')
if [ "$exported" != nprof_library ]; then
    echo "$1 exports more than nprof_library:" "$exported" >&2
    exit 1
fi

# The address of errno. The compiler's own checks of the stack are no calls that
# return to us when they fail. What `make SAN=...` puts in itself no other build
# has.
always='__errno_location|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_'
always="$always|__(asan|tsan|ubsan)_[a-z0-9_]*"

# check WHO ALLOWED OBJECT...: what the objects use is defined in one of them, or
# allowed.
check() {
    who=$1 allowed="^($2|$always)\$"
    shift 2
    symbols=$(nm "$@")
    called=$(echo "$symbols" | awk -v allowed="$allowed" '
        NF == 3 { defined[$3] = 1 }
        NF == 2 && $2 !~ allowed { used[$2] = 1 }
        END { for (name in used) if (!(name in defined)) print name }')
    if [ -n "$called" ]; then
        echo "$who may not use:" "$called" >&2
        exit 1
    fi
}

# Async-signal-safe functions, and data.
check 'the signal handler' \
    'clock_gettime|syscall|loop_state|thread_labels' \
    "$2/sample/signal_handler.o" "$2/sample/sample_ring.o" \
    "$2/sample/run_delay.o"

# What neither locks, sleeps nor allocates: arithmetic, system calls, and what
# the signal handler may call, too. The allocator is called by its table alone.
check 'the allocation hooks' \
    "log|expm1|ldexp|llround|memset|gettid|process_vm_readv|heap_allocator\
|thread_labels|signal_wake_profiler|__(start|stop)_nprof_heap_hook" \
    "$2/heap/heap_hook.o" "$2/heap/heap_capture.o" \
    "$2/heap/heap_countdown.o" "$2/heap/heap_ring.o" \
    "$2/heap/heap_weight.o" "$2/heap/live_set.o"
