#!/bin/sh
# Builds the Go side of the benchmarks into the folder $1, where a Go that is
# new enough for package slices is there: $GO, the one in PATH, or the one in
# /usr/local/go. Without it one line says so, and programs of an earlier build
# go, so that the benchmarks leave their Go columns out. Fetches nothing.

set -eu

out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/go-count"

# Go wants a place for its cache, which a service account may lack.
[ -n "${HOME:-}" ] || export GOCACHE="$out/go-cache"
export GOTOOLCHAIN=local GOPROXY=off GOFLAGS=-trimpath CGO_ENABLED=0

without() {
    rm -f "$out/go-count" "$out/sortrounds"
    echo "NOTE: $1: the Go columns are left out" >&2
    exit 0
}

for go in ${GO:-go /usr/local/go/bin/go}; do
    command -v "$go" >/dev/null 2>&1 || continue
    version=$("$go" env GOVERSION) || continue
    case $version in
        go1.? | go1.?.* | go1.1? | go1.1?.* | go1.20 | go1.20.*)
            without "$version is older than go1.21" ;;
    esac
    "$go" build -o "$out/" . ./sortrounds
    exit 0
done

without 'no Go that runs'
