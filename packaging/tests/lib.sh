# What the topics of `packaging/test-systemd` share: checks, and a device that is a booted container. Sourced by
# `packaging/tests/run`, which sets $release, $package and $work.

service=heartbeat-daemon.service
config=/etc/heartbeat-daemon/config.toml
simulator=$PWD/target/release/heartbeat-sim
[ -x "$simulator" ] || simulator=$PWD/target/debug/heartbeat-sim
received=$work/received
name=heartbeat-$$
root=$work/root
passed=0

fail() {
    echo "FAILED: $release, $topic: $*" >&2
    if [ -n "${leader:-}" ]; then
        inside systemctl --no-pager --full status $service >&2 || true
        inside journalctl --no-pager -u $service -n 30 >&2 || true
    fi
    exit 1
}

ok() {
    passed=$((passed + 1))
    echo "ok  $*"
}

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    "$@" || fail "$what: $*"
    ok "$what"
}

# eventually WHAT COMMAND...: the command must succeed within a minute.
eventually() {
    local what=$1 ends=$((SECONDS + 60))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $ends ] || fail "$what: $*"
        sleep 0.1
    done
    ok "$what"
}

inside() { nsenter -t "$leader" -m -u -i -n -p -C -- env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb DEBIAN_FRONTEND=noninteractive "$@"; }
quietly() { "$@" >/dev/null 2>&1; }
shell() { inside sh -c "$1"; }
property() { inside systemctl show --value -p "$1" "${2:-$service}"; }
active() { [ "$(property ActiveState)" = active ]; }
failed() { [ "$(property ActiveState)" = failed ]; }
# The program of this project runs as the service, and not something else in its name.
ours() { active && [ "$(inside cat "/proc/$(property MainPID)/comm" 2>/dev/null)" = heartbeat-daemo ]; }
enabled() { inside systemctl --quiet is-enabled $service; }
restarted() { [ "$(property MainPID)" != "$old_pid" ] && [ "$(property MainPID)" != 0 ] && active; }
restarted_from() { old_pid=$1; restarted; }
old_runs() { quietly shell 'grep -lz "[h]eartbeat_daemon.py" /proc/[0-9]*/cmdline'; }
shown() { if [ -n "${KEEP:-}" ]; then echo "--- $*"; inside "$@" || true; echo '---'; fi; }

beats() { wc -l <"$received"; }
# A heartbeat that was sent from now on.
beat_arrives() {
    local before
    before=$(beats)
    eventually "$1" eval "[ \$(beats) -gt $before ]"
}
# How many have failed since the daemon's start.
failures() { inside heartbeat-daemon status --json | grep -o '"failed": *[0-9]*' | grep -o '[0-9]*$'; }
# the last heartbeat contains $1
last_has() { tail -n 1 "$received" | grep -qF -- "$1"; }

# install WHAT PACKAGE: as apt does, without questions. What it says is in $work/said.
install() {
    inside dpkg -i "/root/$2" >"$work/said" 2>&1 </dev/null || fail "$1: $(cat "$work/said")"
    if [ -n "${KEEP:-}" ]; then cat "$work/said"; fi
    ok "$1"
}
said() { grep -q -- "$1" "$work/said"; }
setting() { inside grep -q "$1" $config; }

# The server is beyond a network of its own, which nothing else is in.
start_server() {
    local side
    for side in server device; do
        ip netns add "$name-$side"
        ip -n "$name-$side" link set lo up
    done
    ip -n "$name-server" link add eth0 type veth peer name eth0 netns "$name-device"
    ip -n "$name-server" address add 198.51.100.1/24 dev eth0
    ip -n "$name-device" address add 198.51.100.2/24 dev eth0
    ip -n "$name-server" link set eth0 up
    ip -n "$name-device" link set eth0 up
    ip -n "$name-device" route add default via 198.51.100.1
    ip netns exec "$name-server" "$simulator" receive --listen 198.51.100.1:443 --name server.test \
        --tls "$work/ca.crt" --json >"$received" 2>&1 &
    server=$!
    until [ -s "$work/ca.crt" ]; do
        kill -0 "$server" || fail "the server ends: $(cat "$received")"
        sleep 0.1
    done
}

# What every device of this run has: the server's name and authority, the package, and a next one.
prepare_devices() {
    local lower next=$work/next
    lower=$(packaging/tests/root "$release")
    mkdir -p "$work/common" "$work/scratch" "$root"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/common,workdir=$work/scratch" "$root"
    echo '198.51.100.1 server.test' >>"$root/etc/hosts"
    cp "$work/ca.crt" "$root/usr/local/share/ca-certificates/test.crt"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    cp "$package" "$root/root/first.deb"
    dpkg-deb -R "$package" "$next"
    sed -i 's/^Version: .*/Version: 99/' "$next/DEBIAN/control"
    echo '# A new comment.' >>"$next/usr/share/heartbeat-daemon/config.toml"
    dpkg-deb --root-owner-group -Zgzip -z1 -b "$next" "$root/root/next.deb" >/dev/null
    # As on a device whose root is read-only.
    mkdir -p "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/volatile.conf"
    chroot "$root" useradd -m -u 1000 pi
    chroot "$root" useradd -m -u 1001 other
    umount "$root"
    lowers=$work/common:$lower
}

# Control groups of its own for this process: containers that share them kill each other's processes.
enter_control_groups() {
    local hierarchy
    for hierarchy in "${hierarchies[@]}"; do
        mkdir -p "$hierarchy/$name"
        echo "$BASHPID" >"$hierarchy/$name/cgroup.procs"
    done
}
hierarchies=()
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -e "$hierarchy/cgroup.procs" ] || hierarchies+=("$hierarchy")
done

boot() {
    local ends=$((SECONDS + 60))
    # systemd from 256 on starts with the first version of control groups only when it is told to.
    (
        enter_control_groups
        exec systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --console=pipe --machine="$name" \
            --setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 --network-namespace-path="/run/netns/$name-device"
    ) </dev/null >"$work/console" 2>&1 &
    nspawn=$!
    until leader=$(pgrep -P "$nspawn" -x systemd) && inside systemctl is-active -q multi-user.target 2>/dev/null; do
        [ $SECONDS -lt $ends ] || { cat "$work/console" >&2; echo 'the container does not boot' >&2; exit 1; }
        sleep 0.1
    done
}

# Ends the device, as a power cut does.
discard_device() {
    [ -z "${leader:-}" ] || kill -KILL "$leader" 2>/dev/null || true
    [ -z "${nspawn:-}" ] || { kill -KILL "$nspawn" 2>/dev/null || true; wait "$nspawn" 2>/dev/null || true; }
    leader=
    nspawn=
    ! mountpoint -q "$root" || umount -l "$root"
    rm -rf --one-file-system "$work/changes" "$work/scratch"
}

# new_device [COMMAND...]: discards the one before and boots another, in which the command has run first, on its files
# in $root.
new_device() {
    discard_device
    mkdir -p "$work/changes" "$work/scratch" "$root"
    mount -t overlay overlay -o "lowerdir=$lowers,upperdir=$work/changes,workdir=$work/scratch" "$root"
    [ $# = 0 ] || "$@"
    boot
}

# configured URL: settings that were there before the installation.
configured() {
    mkdir -p "$root/etc/heartbeat-daemon"
    printf 'url = "%s"\ninterval = 1\ntimeout = 1\n' "$1" >"$root$config"
}

# The older service as its document describes it, running as $1, with its program in $2. More lines for the unit's
# section [Service] follow.
old_service() {
    local user=$1 folder=$2
    shift 2
    mkdir -p "$root$folder"
    cp packaging/tests/heartbeat_daemon.py "$root$folder/"
    touch "$root$folder/app.py"
    {
        printf '[Unit]\nDescription=The older service\nAfter=network.target\n\n[Service]\nType=simple\n'
        [ -z "$user" ] || printf 'User=%s\n' "$user"
        printf 'WorkingDirectory=%s\nExecStart=/usr/bin/python3 %s/heartbeat_daemon.py\nRestart=always\n' "$folder" "$folder"
        [ $# = 0 ] || printf '%s\n' "$@"
        printf '\n[Install]\nWantedBy=multi-user.target\n'
    } >"$root/etc/systemd/system/$service"
    chroot "$root" systemctl --quiet enable $service 2>/dev/null
}

# All files that an installation may leave behind, and the users and groups.
inventory() {
    shell "find / -xdev \( -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd \
        -o -path /var/tmp -o -path /tmp -o -path /run -o -path /proc -o -path /sys -o -path /dev -o -path /etc/ssl \
        -o -name '*-' -o -name .updated -o -name machine-id -o -name __pycache__ \) -prune -o -print | sort
        cut -d: -f1 /etc/passwd /etc/group | sort"
}

cleanup() {
    trap - EXIT
    discard_device
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    ip netns del "$name-server" 2>/dev/null || true
    ip netns del "$name-device" 2>/dev/null || true
    wait 2>/dev/null || true
    # What was killed takes a moment to leave its control group.
    for hierarchy in "${hierarchies[@]}"; do
        for _ in {1..50}; do
            find "$hierarchy/$name" -depth -type d -exec rmdir {} \; 2>/dev/null || true
            [ -e "$hierarchy/$name" ] || break
            sleep 0.1
        done
    done
    rm -rf --one-file-system "$work"
}
