#!/bin/sh
# Reloads nginx when the files of a folder change, names or contents: for a
# ConfigMap, which the kubelet changes while the pod runs. nginx refuses a
# configuration that is wrong, says why in its error log, and keeps the old one.
#
# Usage: reload_on_change.sh FOLDER PID_FILE [SECONDS]
# SECONDS between looks, default 2.

set -u
folder=$1
pid_file=$2
period=${3:-2}

fingerprint() {
    (cd "$folder" && cksum ./*)
}

# The first look reloads, too: nobody knows which files nginx has read.
loaded=
while sleep "$period"; do
    now=$(fingerprint)
    [ "$now" != "$loaded" ] || continue
    if kill -HUP "$(cat "$pid_file")"; then
        echo "reload_on_change.sh: $folder has changed, nginx reloads"
        loaded=$now
    fi
done
