# Sources that are broken on purpose: heartbeat-hil must say that the check failed.

breaks() {
    step 'broken sources are found'
    mkdir -p /run/broken
    cat >/run/broken/daemon <<'DAEMON'
#!/bin/sh
exec /run/broken/by /usr/bin/heartbeat-daemon "$@"
DAEMON
    # in_namespace COMMAND PROGRAM: runs the program in a mount namespace of its own, in which the command was run.
    cat >/run/broken/in_namespace <<'BY'
#!/bin/sh
before=$1
shift
exec unshare -m sh -c "$before"' && exec "$@"' sh "$@"
BY
    chmod +x /run/broken/*
    awk '/^MemAvailable/ { $2 = int($2 / 3) } { print }' /proc/meminfo >/run/broken/meminfo
    broken memory 'a wrong scale' in_place /run/broken/meminfo /proc/meminfo
    cat /proc/stat >/run/broken/stat
    broken cpu 'counters that stand still' in_place /run/broken/stat /proc/stat
    cat /proc/uptime >/run/broken/uptime
    sleep 5
    broken uptime 'a stale value' in_place /run/broken/uptime /proc/uptime

    systemd-run --quiet --collect --unit=other-i2c $here/i2c_bus.py 2 /run/other-chips.json
    put /run/other-chips.json '{"ina219": {"address": 65, "mv": 5990, "shunt_10uv": -4000}}'
    eventually 'another I2C bus' test -c /dev/i2c-2
    broken supply 'the chip of another bus' in_place /dev/i2c-2 /dev/i2c-1
    broken power 'the chip of another bus' in_place /dev/i2c-2 /dev/i2c-1
    systemctl stop other-i2c

    broken network 'another network namespace' unshare -n
    broken wifi 'another network namespace' unshare -n
    broken gps 'another network namespace' unshare -n
    broken 4g 'a file instead of the socket of D-Bus' in_place /run/broken/stat /run/dbus/system_bus_socket
    broken activity 'another /tmp' /run/broken/in_namespace 'mount -t tmpfs none /tmp'

    # What only the service sees, and samples outside its sandbox do not.
    broken_service service.activity 'no /tmp' 'InaccessiblePaths=/tmp'
    broken_service service.values 'a wrong scale' 'BindReadOnlyPaths=/run/broken/meminfo:/proc/meminfo'
    broken_service service.freeze 'no watchdog' 'WatchdogSec=0'
    broken_service service.sandbox 'a file in homes that it sees' 'BindReadOnlyPaths=/home'
    broken_service service.state 'privileges' 'CapabilityBoundingSet=CAP_KILL'
    broken_service service.delivery 'an ExecStart= that wins' $'ExecStart=\nExecStart=heartbeat-daemon run' zzzz
    restart
}

# broken_service CHECK HOW LINES [NAME]: the check must fail if a drop-in of the service, of this name, has these lines.
broken_service() {
    local name=$1 how=$2 drop_in=/run/systemd/system/$service.d/${4:-50-broken}.conf
    mkdir -p "${drop_in%/*}"
    printf '[Service]\n%s\n' "$3" >"$drop_in"
    systemctl daemon-reload
    restart
    if heartbeat-hil --once --only "$name" >"$out/broken-service-$name" 2>&1; then
        fail "the check $name passes with $how"
    fi
    # The next start is without it.
    rm "$drop_in"
    systemctl daemon-reload
    grep "^FAILED   $name" "$out/broken-service-$name" >/dev/null ||
        fail "the check $name did not fail: $(cat "$out/broken-service-$name")"
    ok "$name fails with $how"
}

# in_place FILE PLACE: what to write for a program that sees FILE in PLACE.
in_place() { echo "/run/broken/in_namespace 'mount --bind $1 $2'"; }

# broken CHECK HOW COMMAND...: the check must fail if the daemon is run by the command. What `judge_by` names runs
# heartbeat-hil.
judge_by=
broken() {
    local name=$1 how=$2 by
    shift 2
    if [ "$1" = in_place ]; then by=$("$@"); else by=$(printf '%q ' "$@"); fi
    printf '#!/bin/bash\nexec %s "$@"\n' "$by" >/run/broken/by
    chmod +x /run/broken/by
    if $judge_by heartbeat-hil --once --only "$name" --daemon /run/broken/daemon >"$out/broken-$name" 2>/dev/null; then
        fail "the check $name passes with $how"
    fi
    grep "^FAILED   $name" "$out/broken-$name" >/dev/null ||
        fail "the check $name did not fail: $(cat "$out/broken-$name")"
    ok "$name fails with $how"
}
