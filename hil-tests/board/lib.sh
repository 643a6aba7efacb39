# What the parts of the emulated board's guest use.

# The directory that the guest shares with its host.
here=/host
out=$here/out
# What the receiver has got: a line for each heartbeat, its arrival and its document.
received=$here/received
# What the chips on the I2C bus, the GPS receiver and the modem are like (i2c_bus.py, gps.py, modem.py).
chips=/run/chips.json
position=/run/gps.json
network=$here/modem.json
service=heartbeat-daemon.service
config=/etc/heartbeat-daemon/config.toml

step() { echo "=== $* (the board is up for $(cut -d. -f1 /proc/uptime) s)"; }
ok() { echo "ok  $*"; }

# end: switches the board off. Its logs stay with the host. A log that cannot be written changes no result.
end() {
    journalctl -b --no-pager -o short-monotonic >"$out/journal.$(cat /proc/sys/kernel/random/boot_id)" 2>&1 || true
    sync -f $out || true
    systemctl poweroff --force --force
}

fail() {
    trap - ERR
    echo "FAILED: $*"
    # What helps to understand it, as far as it is there.
    journalctl --no-pager -u $service -n 20 || true
    tail -n 1 $received || true
    end
    exit 1
}

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    "$@" || fail "$what: $*"
    ok "$what"
}

# eventually WHAT COMMAND...: the command must succeed within five minutes.
eventually() {
    local what=$1 ends
    ends=$(($(cut -d. -f1 /proc/uptime) + 300))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt $ends ] || fail "$what: $*"
        sleep 0.5
    done
    ok "$what"
}

beats() { wc -l <$received; }
# last_has REGEX: the last heartbeat that arrived has this.
last_has() { tail -n 1 $received | grep -E -- "$1" >/dev/null; }
more_beats_than() { [ "$(beats)" -gt "$1" ]; }

# beats_arrive WHAT: two more heartbeats arrive; the first may have been under way.
beats_arrive() { eventually "$1" more_beats_than $(($(beats) + 1)); }

# put FILE JSON: replaces the file at once, because a model reads it at any time.
put() {
    echo "$2" >"$1.new"
    mv "$1.new" "$1"
}
battery='{"ina219": {"address": 65, "mv": 11980, "shunt_10uv": -400}}'

restart() { systemctl restart $service; }

# one_board: all heartbeats that have ever arrived are of one board.
one_board() { [ "$(grep -o '"hardwareid":"[^"]*"' $received | sort -u | wc -l)" = 1 ]; }

start_receiver() {
    systemd-run --quiet --collect --unit=receiver $here/receiver.py 8080 $received
    eventually 'the receiver listens' listens
}
listens() { ss -ltn | grep '127.0.0.1:8080 ' >/dev/null; }
