#!/bin/bash
# Usage: make_page.sh FOLDER HEADER
#
# Builds the page into FOLDER and writes HEADER, which tells
# ngx_http_profiler_page.c what to embed. Without Node.js, or where npm can't
# get the packages, it says so: a page that FOLDER has stays, old as it is, and
# page.stale beside it has it tried again; without one HEADER says that there is
# none. A page that does not compile is an error. HEADER is written only if it
# changes.
# With -n first it builds nothing: HEADER says what FOLDER has, and so does the
# script where that is nothing.

set -u

build=1
if [ "$1" = -n ]; then
    build=
    shift
fi
folder=$1
header=$2
web=$(cd "$(dirname "$0")" && pwd) || exit 1

packages() {
    [ "$web/node_modules/.package-lock.json" -nt "$web/package-lock.json" ] ||
        (cd "$web" && npm ci --ignore-scripts --no-audit --no-fund \
            --fetch-retries=1 > "$log" 2>&1 &&
            touch node_modules/.package-lock.json)
}

# Prints why there can be no page; nothing if there can.
obstacle() {
    if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
        echo 'Node.js (18 or later) and npm are missing'
    elif ! packages; then
        echo "npm ci failed, see $log"
    fi
}

has_page() {
    [ -e "$folder/page.html" ] && [ -e "$folder/page.html.gz" ] &&
        [ -e "$folder/page.csp" ]
}

# No path and no policy here has a double quote or a backslash in it.
write_header() {
    if has_page; then
        printf '#define NGX_HTTP_PROFILER_PAGE 1\n'
        printf '#define NGX_HTTP_PROFILER_PAGE_HTML "%s"\n' "$folder/page.html"
        printf '#define NGX_HTTP_PROFILER_PAGE_GZIP "%s"\n' "$folder/page.html.gz"
        printf '#define NGX_HTTP_PROFILER_PAGE_POLICY "%s"\n' "$(cat "$folder/page.csp")"
        printf '#define NGX_HTTP_PROFILER_PAGE_ETAG "%.32s"\n' \
            "$(sha256sum < "$folder/page.html")"
    else
        printf '#define NGX_HTTP_PROFILER_PAGE 0\n'
    fi
}

mkdir -p "$folder" "$(dirname "$header")" || exit 1
folder=$(cd "$folder" && pwd) || exit 1
log=$folder/npm.log

if [ -n "$build" ]; then
    why=$(obstacle)
    if [ -z "$why" ]; then
        rm -f "$folder"/page.{html,html.gz,csp,stale}
        node "$web/build_page.mjs" "$folder" || exit 1
    elif has_page; then
        touch "$folder/page.stale"
    fi
else
    why="'make web' has not built it"
fi

if ! has_page; then
    echo "NOTE: no page at <endpoint>/ui: $why" >&2
elif [ -n "$build" ] && [ -n "$why" ]; then
    echo "NOTE: an old page at <endpoint>/ui, older than its sources: $why" >&2
fi

write_header > "$header.tmp" || exit 1
if cmp -s "$header.tmp" "$header"; then
    rm "$header.tmp"
else
    mv "$header.tmp" "$header"
fi
