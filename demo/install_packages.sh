#!/bin/bash
# Usage: demo/install_packages.sh LOG SET...
#
# Installs what is missing of the named sets of demo/packages.txt. Does nothing
# at all if nothing is missing, so that it needs root only where it has work.
# Debian's nginx package starts nginx as a service once it is installed; nobody
# has asked for that here, so it is kept from it. An nginx that was there
# before is never touched.

set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
policy=/usr/sbin/policy-rc.d
policy_is_ours=
log=$1
shift

fail() {
    echo "install_packages.sh: $*" >&2
    exit 1
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Prints the packages of the sets that are not installed.
missing() {
    local set package
    while read -r set package; do
        case " $* " in
            *" $set "*) installed "$package" || printf '%s\n' "$package" ;;
        esac
    done < "$here/packages.txt"
}

# invoke-rc.d asks this script before it starts a service. Ours refuses nginx
# only; one that exists is the administrator's and stays as it is.
hold_nginx() {
    [ -e "$policy" ] && return
    policy_is_ours=1
    cat > "$policy" <<'END' && chmod 755 "$policy"
#!/bin/sh
# Made by demo/install_packages.sh, which removes it when apt is done.
for argument; do
    case $argument in nginx | nginx.service) exit 101 ;; esac
done
exit 0
END
}

release_nginx() {
    [ -z "$policy_is_ours" ] || rm -f "$policy"
}

run_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >> "$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        fail "apt-get $1 failed, see $log"
    }
}

mapfile -t wanted < <(missing "$@")
[ ${#wanted[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
    fail "this needs Debian 12 with: ${wanted[*]}"
[ "$(id -u)" -eq 0 ] ||
    fail "not root, and missing; run: apt-get install ${wanted[*]}"

mkdir -p "$(dirname "$log")" || fail "can't make the folder of $log"
echo "Installing from apt: ${wanted[*]} (log: $log)"
: > "$log"
trap release_nginx EXIT
trap 'exit 130' INT TERM HUP
run_apt update
case " ${wanted[*]} " in
    *" nginx "*)
        hold_nginx || fail "can't write $policy"
        if [ -d /run/systemd/system ]; then
            echo "Note: nginx is installed but not started; as a service it" \
                 "would start at the next boot: systemctl disable nginx"
        fi
        ;;
esac
run_apt install --no-install-recommends "${wanted[@]}"
