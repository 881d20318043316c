#!/bin/bash
# Shows what the profiler is worth: a service with a slow sort, the same with a
# fast one, swapped by a reload under load, and the CPU profiles of both, in
# numbers and in a page (report.html) where Node.js was there to build it.
#
# Usage: ./demo.sh            the whole demo; takes some 80 seconds
#        ./demo.sh --serve    the same, and nginx stays with v2
#        ./demo.sh --stop     stops what --serve left
#
# Installs what is missing of Debian's packages (as root), builds, and hands
# over to demo/run_demo.py. Environment:
#   PORT       of 127.0.0.1, default 8080
#   BUILD      the build folder, default build
#   OUT        the folder for all that the demo writes, default BUILD/demo
#   LOAD       k6, h2load or auto: k6 where it is installed, which is the default
#   K6         the k6 to use
#   WINDOW_V1, WINDOW_V2   seconds to profile; default: as long as is needed

set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

# `make test` calls a test that calls this: its make is none of ours.
unset MAKEFLAGS MAKELEVEL MFLAGS

build=${BUILD:-build}
out=${OUT:-$build/demo}
port=${PORT:-8080}
actions=()

usage() {
    sed -n '6,8s/^# *//p' "$0"
}

for argument in "$@"; do
    case $argument in
        --serve | --stop) actions+=("$argument") ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

case $port in
    '' | *[!0-9]*) echo "demo.sh: PORT must be a number: $port" >&2; exit 2 ;;
esac

prepare() {
    mkdir -p "$out" || return 1
    demo/install_packages.sh "$out/apt.log" build demo || return 1
    echo "Building (log: $out/build.log)"
    if ! make -j"$(nproc)" BUILD="$build" > "$out/build.log" 2>&1; then
        tail -n 30 "$out/build.log" >&2
        echo "demo.sh: make failed, see $out/build.log" >&2
        return 1
    fi
    grep '^NOTE: .* page at' "$out/build.log"
    return 0
}

case " ${actions[*]} " in
    *" --stop "*) ;;
    *) prepare || exit 1 ;;
esac

exec /usr/bin/python3 demo/run_demo.py --build "$build" --out "$out" \
    --port "$port" "${actions[@]}"
