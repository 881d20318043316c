#!/bin/sh
# Usage: page_stage.sh context|node
#
# What a stage of Dockerfile.nginx leaves in build/web: nothing, so that the page
# of the context stays, or the page that npm makes here.

set -eu

mkdir -p build/web
case $1 in
    context) exit 0 ;;
    node) ;;
    *) echo "PAGE has to be context or node, not $1" >&2; exit 2 ;;
esac

certificates=/run/secrets/npm-ca
if [ -s "$certificates" ]; then
    export NODE_EXTRA_CA_CERTS="$certificates"
fi
bash web/make_page.sh build/web /tmp/nprof_page.h
if [ ! -e build/web/page.html.gz ]; then
    cat build/web/npm.log >&2
    exit 1
fi
rm build/web/npm.log
touch build/web/.built
