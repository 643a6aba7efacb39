#!/bin/sh
# Installs the service from this source tree, for people who build it themselves: the same as the Debian package does,
# below /usr/local. Running it again updates what is there.
#
#   cargo build --release -p heartbeat-daemon
#   sudo ./install.sh [--user NAME] [--show DIRECTORY]...
#   sudo ./install.sh --uninstall [--purge]
#
# NAME: whom it runs as instead of a user of its own. DIRECTORY: what it must see of an application in a home.
# Purge: with its configuration and state.
set -eu
# No programs of the person who installs.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
# All users read what is installed; sudo may have another mask.
umask 022
cd "$(dirname "$0")"

service=heartbeat-daemon.service
prefix=/usr/local
setup=$prefix/lib/heartbeat-daemon/setup
program=${CARGO_TARGET_DIR:-target}/release/heartbeat-daemon
manual=${CARGO_TARGET_DIR:-target}/manual

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0"
}

fail() {
    echo "$0: $*" >&2
    exit 1
}

running() { [ -d /run/systemd/system ]; }

# put MODE FROM TO: as a new file in the old one's place, which may be running.
put() {
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3.new"
    mv "$3.new" "$3"
}

install_all() {
    [ -x "$program" ] || fail "there is no $program: run cargo build --release -p heartbeat-daemon first, as yourself"
    if dpkg-query -W -f '${Status}' heartbeat-daemon 2>/dev/null | grep -q ' installed$'; then
        fail 'the Debian package is installed; remove it first: apt-get remove heartbeat-daemon'
    fi
    stopped=
    if [ -e $setup ] && running && [ "$(systemctl is-active $service)" = inactive ]; then
        stopped=yes
    fi
    # A unit in the place of packages, of no package, would be hidden by ours: the take-over reads it in this place.
    for unit in /usr/lib/systemd/system/$service /lib/systemd/system/$service; do
        if [ -f $unit ] && ! dpkg-query -S "$unit" >/dev/null 2>&1 && [ ! -e /etc/systemd/system/$service ]; then
            mv $unit /etc/systemd/system/$service
        fi
    done
    enable=
    # The first time, or where it takes over from a service that has come back.
    if [ ! -e $setup ] || ! "$program" takeover --check >/dev/null 2>&1; then
        enable=yes
    fi
    put 755 "$program" $prefix/bin/heartbeat-daemon
    put 755 packaging/setup $setup
    put 755 packaging/unit-generator $prefix/lib/systemd/system-generators/heartbeat-daemon
    put 644 packaging/config.toml $prefix/share/heartbeat-daemon/config.toml
    put 644 packaging/$service $prefix/lib/systemd/system/$service
    if [ -f "$manual/heartbeat-daemon.1" ]; then
        put 644 "$manual/heartbeat-daemon.1" $prefix/share/man/man1/heartbeat-daemon.1
        put 644 "$manual/heartbeat-daemon.bash" $prefix/share/bash-completion/completions/heartbeat-daemon
        put 644 "$manual/_heartbeat-daemon" $prefix/share/zsh/site-functions/_heartbeat-daemon
        put 644 "$manual/heartbeat-daemon.fish" $prefix/share/fish/vendor_completions.d/heartbeat-daemon.fish
    else
        echo "no man page and completions: cargo run -p heartbeat-daemon --example manual -- $manual makes them"
    fi
    $setup configure "$@"
    if [ -n "$enable" ]; then
        systemctl --quiet enable $service || echo "$0: the service is not enabled" >&2
    fi
    if [ -n "$stopped" ] && [ -z "$enable" ]; then
        echo "the service stays stopped: systemctl start $service"
    elif running; then
        systemctl restart $service || echo "$0: the service did not start; see below" >&2
    else
        echo 'systemd does not run here: the service starts with the next boot'
    fi
    $setup show
}

uninstall() {
    [ -e $setup ] || fail "it has not been installed by $0"
    $setup remove-local
    if [ "${1:-}" = --purge ]; then
        sh packaging/maintainer-scripts/postrm purge
    fi
}

[ "${1:-}" != --help ] && [ "${1:-}" != -h ] || {
    usage
    exit
}
[ "$(id -u)" = 0 ] || fail 'must be run as root: sudo ./install.sh'
case "${1:-}" in
'' | --user | --show) install_all "$@" ;;
--uninstall)
    case "$#${2:-}" in
    1 | 2--purge) uninstall "${2:-}" ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
    ;;
*)
    usage >&2
    exit 64
    ;;
esac
