#!/bin/bash
# Builds, and runs all tests: unit tests (Criterion), short runs of the fuzz
# targets, integration tests (pytest, a real nginx, real HTTP) and what `make
# lint` checks.
#
# Usage: ./test.sh [--long]    --long: the full numbers, not those of minutes
#
# Installs what is missing of Debian's packages (as root). What a plain machine
# can't get is said in one line that starts with SKIPPED. Ends with one line
# that adds up all runners; exits with 1 if anything failed or nothing ran.
# Environment: BUILD, the build folder, default build; CI=true may build k6.

set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
unset MAKEFLAGS MAKELEVEL MFLAGS

export BUILD=${BUILD:-build}
logs=$BUILD/test
python=/usr/bin/python3
passed=0 failed=0 skipped=0
failures_seen=()
sets=(build demo test)

for argument in "$@"; do
    case $argument in
        --long) export LONG=1; sets=(build demo test deb long) ;;
        *) echo "Usage: ./test.sh [--long]" >&2; exit 2 ;;
    esac
done

say() {
    printf '\n== %s\n' "$*"
}

skip() {
    echo "SKIPPED: $*"
    skipped=$((skipped + 1))
}

# Keeps what failed for the end: the last lines are all that some see.
note_failure() {
    echo "FAILED: $*"
    failures_seen+=("$*")
}

# finish: the closing lines and the exit status, of whatever came before.
finish() {
    [ ${#failures_seen[@]} -eq 0 ] || printf '\nFAILED: %s' "${failures_seen[@]}"
    printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# Ends the run for want of a step without which nothing can be tested.
give_up() {
    note_failure "$*"
    failed=$((failed + 1))
    finish
}

build() {
    say "make, make unit (log: $logs/build.log)"
    if ! make -j"$(nproc)" BUILD="$BUILD" all unit > "$logs/build.log" 2>&1; then
        tail -n 40 "$logs/build.log"
        return 1
    fi
}

# run_unit PROGRAM NAME: runs one program, and once more if it fails.
run_unit() {
    "$1" > "$logs/$2.log" 2>&1 && return
    cat "$logs/$2.log"
    "$1" > "$logs/$2.log" 2>&1 || return
    echo "UNSTEADY: $2 passed when it was run again"
}

# Adds up Criterion's closing line of one program: "Synthesis: Tested: 9 |
# Passing: 9 | Failing: 0 | Crashing: 0". A program that dies before it counts
# as one failure.
count_criterion() {
    local name=$1 status=$2 line tested passing
    line=$(sed 's/\x1b\[[0-9;]*m//g' "$logs/$name.log" | grep 'Synthesis:' | tail -n 1)
    tested=$(sed -n 's/.*Tested: *\([0-9]*\).*/\1/p' <<< "$line")
    passing=$(sed -n 's/.*Passing: *\([0-9]*\).*/\1/p' <<< "$line")
    tested=${tested:-0} passing=${passing:-0}
    passed=$((passed + passing))
    if [ "$status" -ne 0 ] || [ "$passing" -ne "$tested" ]; then
        failed=$((failed + (tested > passing ? tested - passing : 1)))
        cat "$logs/$name.log"
        note_failure "$name, exit status $status"
    else
        echo "$name: $passing passed"
    fi
}

unit_tests() {
    local program name source
    say "unit tests"
    # Not what an old build may have left: one program per source.
    for source in tests/unit/*_test.c; do
        [ -e "$source" ] || { skip "there are no unit tests"; break; }
        name=$(basename "$source" .c)
        program=$BUILD/unit/$name
        run_unit "$program" "$name"
        count_criterion "$name" $?
    done
}

have_fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return !d && n; }' |
        clang-14 -x c -fsanitize=fuzzer -o "$logs/have-fuzzer" - > /dev/null 2>&1
}

# What reads a stranger's bytes: its corpus, and a fixed number of runs from it.
fuzz_tests() {
    say "make fuzz-short (log: $logs/fuzz.log)"
    if ! have_fuzzer; then
        skip "no clang-14 with libFuzzer: no parser is fuzzed"
        return
    fi
    if nice make BUILD="$BUILD" fuzz-short > "$logs/fuzz.log" 2>&1; then
        passed=$((passed + $(grep -c ' runs$' "$logs/fuzz.log")))
    else
        tail -n 40 "$logs/fuzz.log"
        note_failure "make fuzz-short"
        failed=$((failed + 1))
    fi
}

# Adds up one attribute of the <testsuite> elements of a pytest report.
report_sum() {
    grep -o "<testsuite [^>]*" "$1" 2>/dev/null |
        sed -n "s/.* $2=\"\([0-9]*\)\".*/\1/p" | awk '{ n += $1 } END { print n + 0 }'
}

# run_pytest REPORT [OPTION...]: the integration tests, or some of them.
run_pytest() {
    local report=$1
    shift
    rm -f "$report"
    "$python" -m pytest -o cache_dir="$(realpath "$logs")/pytest-cache" -q -rfEs \
        --junitxml="$report" "$@" tests
}

# The tests that failed last, by pytest's own record.
failed_tests() {
    sed -n 's/^ *"\(.*\)": true,\{0,1\}$/\1/p' \
        "$logs/pytest-cache/v/cache/lastfailed" 2>/dev/null | tr '\n' ' '
}

# Few tests that failed are run again, alone: a machine that others use stops
# for a second now and then, and many tests measure time. What nginx's log or a
# sanitizer says is an error of the test's end, and never tried again.
try_again() {
    local failures=$1 report=$logs/pytest-again.xml
    shift
    say "the tests that failed, once more"
    run_pytest "$report" --last-failed --last-failed-no-failures none "$@"
    bad=$(($(report_sum "$report" failures) + $(report_sum "$report" errors)))
    [ "$(report_sum "$report" tests)" -gt 0 ] || bad=$failures
    echo "UNSTEADY: $((failures - bad)) of $failures passed when they were run again"
}

# run_tests NAME DISTRIBUTION [OPTION...]: the integration tests that the options
# choose, two at a time where pytest-xdist is there: most wait most of the time.
run_tests() {
    local report=$logs/$1.xml distribution=$2 status tests failures errors bad
    local left_out at_once=()
    shift 2
    "$python" -c 'import xdist' 2>/dev/null &&
        at_once=(-n2 "--dist=$distribution")
    run_pytest "$report" --durations=5 "${at_once[@]}" "$@"
    status=$?
    tests=$(report_sum "$report" tests)
    left_out=$(report_sum "$report" skipped)
    failures=$(report_sum "$report" failures)
    errors=$(report_sum "$report" errors)
    bad=$((failures + errors))
    # 1: some failed; 5: there were none to run; others: it was not finished
    if [ "$status" -ne 0 ] && [ "$status" -ne 1 ] && [ "$status" -ne 5 ]; then
        bad=$((bad > 0 ? bad : 1))
        note_failure "pytest, exit status $status"
    elif [ "$failures" -gt 0 ] && [ "$failures" -le 5 ] && [ "$errors" -eq 0 ]; then
        try_again "$failures" "$@"
    elif [ "$status" -eq 1 ] && [ "$bad" -eq 0 ]; then
        bad=1
    fi
    if [ "$bad" -gt 0 ]; then
        note_failure "integration tests: $(failed_tests)"
    fi
    passed=$((passed + tests - left_out - bad))
    skipped=$((skipped + left_out))
    failed=$((failed + bad))
}

# The full numbers of an idle worker are those of an idle machine.
integration_tests() {
    say "integration tests"
    if [ -n "${LONG:-}" ]; then
        run_tests pytest loadfile -m "not idle"
        say "integration tests of idle workers"
        run_tests pytest-idle load -m idle
    else
        run_tests pytest loadfile
    fi
}

lint() {
    if ! make -n BUILD="$BUILD" lint > /dev/null 2>&1; then
        return
    fi
    say "make lint"
    if make BUILD="$BUILD" lint; then
        passed=$((passed + 1))
    else
        note_failure "make lint"
        failed=$((failed + 1))
    fi
}

go_is_recent() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 24 ]
}

have_k6() {
    [ -n "${K6:-}" ] || command -v k6 >/dev/null || [ -x "$HOME/go/bin/k6" ]
}

# Builds k6 at $K6. It is required by a module of ours that is thrown away:
# `go install` also asks for the list of k6's versions, which not every proxy
# has.
build_k6() {
    local module=$logs/k6-module
    rm -rf "$module"
    mkdir -p "$module" "$(dirname "$K6")" || return 1
    printf 'module k6build\n\ngo 1.24\n\nrequire go.k6.io/k6/v2 v2.2.0\n' \
        > "$module/go.mod"
    GOFLAGS=-mod=mod nice go build -C "$module" -o "$K6" go.k6.io/k6/v2
}

# The demo is tested with both of its load generators where k6 can be had. Only
# CI waits for k6 to compile, which takes minutes.
find_k6() {
    have_k6 && return
    K6=$(realpath -m "$BUILD")/bin/k6
    export K6
    [ -x "$K6" ] && return
    if [ "${CI:-}" = true ] && go_is_recent; then
        say "building k6 (log: $logs/k6.log)"
        build_k6 > "$logs/k6.log" 2>&1 && return
        echo "k6 does not build here, see $logs/k6.log"
    fi
    unset K6
    skip "no k6: the demo is tested with h2load only"
}

mkdir -p "$logs" || exit 1
demo/install_packages.sh "$logs/apt.log" "${sets[@]}" ||
    give_up "installing packages"
build || give_up "make, see $logs/build.log"
go_is_recent || skip "no Go 1.24 or later: profiles are not read by go tool pprof"
[ -e "$BUILD/web/page.html" ] ||
    skip "no Node.js 18 with npm and its packages: no page is built or tested"
find_k6
unit_tests
fuzz_tests
integration_tests
lint
finish
