#!/bin/sh
# Installs the service from this source tree, for people who build it themselves: the same as the Debian package does,
# below /usr/local. Running it again updates what is there.
#
#   cargo build --release -p heartbeat-daemon
#   sudo ./install.sh
#   sudo ./install.sh --uninstall [--purge]      purge: with its configuration and state
set -eu
cd "$(dirname "$0")"

service=heartbeat-daemon.service
prefix=/usr/local
unit=$prefix/lib/systemd/system/$service
config=/etc/heartbeat-daemon/config.toml
program=${CARGO_TARGET_DIR:-target}/release/heartbeat-daemon
manual=${CARGO_TARGET_DIR:-target}/manual

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0"
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
    sh packaging/setup configure
    put 755 "$program" $prefix/bin/heartbeat-daemon
    if [ -f "$manual/heartbeat-daemon.1" ]; then
        put 644 "$manual/heartbeat-daemon.1" $prefix/share/man/man1/heartbeat-daemon.1
        put 644 "$manual/heartbeat-daemon.bash" $prefix/share/bash-completion/completions/heartbeat-daemon
        put 644 "$manual/_heartbeat-daemon" $prefix/share/zsh/site-functions/_heartbeat-daemon
        put 644 "$manual/heartbeat-daemon.fish" $prefix/share/fish/vendor_completions.d/heartbeat-daemon.fish
    else
        echo "no man page and completions: cargo run -p heartbeat-daemon --example manual -- $manual makes them"
    fi
    if [ -f $config ]; then
        cmp -s packaging/config.toml $config || echo "$config stays as it is; new keys are in packaging/config.toml"
    else
        put 644 packaging/config.toml $config
    fi
    adapted=$(mktemp)
    sed "s,/usr/bin/heartbeat-daemon,$prefix/bin/heartbeat-daemon,g" packaging/$service >"$adapted"
    put 644 "$adapted" $unit
    rm "$adapted"
    # A package that was removed and not purged leaves its unit masked.
    if [ "$(readlink /etc/systemd/system/$service)" = /dev/null ]; then
        systemctl --quiet unmask $service
    fi
    if running; then
        systemctl daemon-reload
        systemctl --quiet enable $service
        systemctl restart $service || echo "$0: the service did not start; see below" >&2
    else
        systemctl --quiet enable $service
        echo 'systemd does not run here: the service starts with the next boot'
    fi
    sh packaging/setup show
}

uninstall() {
    [ -f $unit ] || fail "it has not been installed by $0"
    if running; then
        systemctl --quiet disable --now $service
    else
        systemctl --quiet disable $service
    fi
    rm -f $unit $prefix/bin/heartbeat-daemon $prefix/share/man/man1/heartbeat-daemon.1 \
        $prefix/share/bash-completion/completions/heartbeat-daemon \
        $prefix/share/zsh/site-functions/_heartbeat-daemon \
        $prefix/share/fish/vendor_completions.d/heartbeat-daemon.fish
    if [ "${1:-}" = --purge ]; then
        rm -f $config
        sh packaging/maintainer-scripts/postrm purge
    fi
    if running; then
        systemctl daemon-reload
    fi
    echo "removed${1:+, with its configuration and state}"
}

case "${1:-}${2:+ $2}" in
--help | -h)
    usage
    exit
    ;;
'' | --uninstall | '--uninstall --purge') ;;
*)
    usage >&2
    exit 64
    ;;
esac
[ "$(id -u)" = 0 ] || fail 'must be run as root: sudo ./install.sh'
if [ $# = 0 ]; then
    install_all
else
    shift
    uninstall "$@"
fi
