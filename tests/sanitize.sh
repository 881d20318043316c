#!/bin/bash
# Runs what can run under a sanitizer; `make test-asan` and `make test-tsan`
# build it. Ends with one line that adds up all runners; exits with 1 if
# anything failed or was reported, or nothing ran.
#
# Usage: tests/sanitize.sh address|thread BUILD
# Environment: LONG=1, the long tier.
#
# AddressSanitizer and UndefinedBehaviorSanitizer: all unit tests, a worker of
# our own (tests/stress), and a stock nginx with the run-time preloaded and our
# modules built for it. Left out are the demo and the benches, which time things,
# and libnprof in Python, whose memory is not the sanitizer's. It has the
# allocator, too, so there are no heap profiles but a warning and empty ones.
#
# ThreadSanitizer wants the whole process, which nginx is not: unit tests that
# have threads, and the worker of our own. It holds a signal back
# until the thread calls something that it intercepts. So a handler's accesses
# are checked against those of all other threads, but a handler never runs in
# the middle of our own code, and the stacks that it copies are not the ones
# that the signal found: what samples say is not looked at.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

kind=$1
export BUILD=$2
logs=$BUILD/test
python=/usr/bin/python3
passed=0 failed=0

# Integration tests that can run: see above.
integration=(test_ab_reload.py test_count_input.py test_count_requests.py
    test_count_threads.py test_every_thread.py test_hostile_life.py
    test_plugin_loader.py test_profiler_clients.py
    test_profiler_completeness.py test_profiler_contract.py
    test_profiler_endpoint.py
    test_profiler_filter.py test_profiler_heap.py
    test_profiler_hostile.py test_profiler_labels.py
    test_profiler_profiles.py test_profiler_refused.py
    test_profiler_stall.py test_profiler_store.py test_profiler_wall.py
    test_profiler_workers.py test_trace_profiles.py test_trace_requests.py
    test_trace_spans.py test_upload_directives.py test_upload_failures.py
    test_upload_nginx.py test_upload_requests.py)

# Left out of these: what measures memory, which the run-time keeps when it is
# freed; CPU and stacks, of which it makes more; what has to be done in so many
# seconds or less, an exit with its last upload above all; and an nginx or a
# Python that is started without the run-time, as a binary upgrade's is, for
# which nginx clears the environment.
left_out=(test_nothing_leaks_over test_swaps_under_load
    test_reload_under_load_leaks_nothing test_cpu_of_the_main_thread
    test_stacks_are_complete test_idle_worker
    test_idle_loop test_pool_threads_that_run
    test_term_sends_the_partial_profile
    test_draining_worker_without_a_timeout_finishes
    test_the_time_of_a_stall_is_divided
    test_samples_have_the_span_of_their_request
    test_uploads_and_traces_say_the_same test_windows_join_through_reloads
    test_last_period_is_sent_at_exit test_variables_outlive
    test_binary_upgrade test_upgrade_without_a_restart)

# run NAME COMMAND...: one runner; a report of a sanitizer is a failure.
run() {
    local name=$1 status
    shift
    "$@" > "$logs/$name.log" 2>&1
    status=$?
    if [ "$status" -ne 0 ] ||
        grep -qE 'Sanitizer|runtime error:' "$logs/$name.log"; then
        failed=$((failed + 1))
        tail -n 60 "$logs/$name.log"
        echo "FAILED: $name, exit status $status (log: $logs/$name.log)"
    else
        passed=$((passed + 1))
        echo "passed: $name"
    fi
}

# The worker of our own, for so many seconds.
stress() {
    run worker_stress timeout 900 "$BUILD/stress/worker_stress" \
        "$BUILD/modules/libnprof.so" "$BUILD/algorithms/libsort_v1.so" "$1"
}

unit_tests() {
    local source name
    for source in tests/unit/*_test.c; do
        name=$(basename "$source" .c)
        [ ! -e "$1/$name" ] || run "$name" timeout 900 "$1/$name"
    done
}

# "a or b or c" of its arguments.
names_or() {
    local name=$1
    shift
    printf '%s' "$name"
    [ $# -eq 0 ] || printf ' or %s' "$@"
}

mkdir -p "$logs" || exit 1

case $kind in
    address)
        # Criterion's processes are forks that share its memory.
        export ASAN_OPTIONS=detect_leaks=0
        export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
        unit_tests "$BUILD/unit"
        stress "$([ "${LONG:-0}" = 0 ] && echo 30 || echo 600)"
        SAN_PRELOAD="$(gcc -print-file-name=libasan.so)"
        SAN_PRELOAD="$SAN_PRELOAD:$(gcc -print-file-name=libubsan.so)"
        export SAN_PRELOAD
        run integration timeout 3600 "$python" -m pytest -p no:cacheprovider \
            -q -rs -k "not ($(names_or "${left_out[@]}"))" \
            "${integration[@]/#/tests/integration/}"
        ;;
    thread)
        unit_tests "$BUILD/tsan-unit"
        stress "$([ "${LONG:-0}" = 0 ] && echo 90 || echo 600)"
        ;;
    *)
        echo "Usage: $0 address|thread BUILD" >&2
        exit 2
        ;;
esac

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
