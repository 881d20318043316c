#!/bin/sh
# Writes the header that names the sources that libnprof and its glue are built
# from: the glue refuses a library of other sources. Usage: build_id.sh FILE
set -eu

folder=$(dirname "$0")
id=$(cd "$folder" && find . -name '*.[ch]' -o -name '*.proto' | LC_ALL=C sort |
    xargs sha256sum | sha256sum | cut -c1-40)
line="#define NPROF_BUILD_ID \"$id\""

[ -f "$1" ] && [ "$(cat "$1")" = "$line" ] || printf '%s\n' "$line" > "$1"
