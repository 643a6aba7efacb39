# What one would not do to a real board. Each is judged by the heartbeats that arrive, and by the state of the service.

state=/var/lib/heartbeat-daemon

faults() {
    clock_years
    full_disk
    read_only_root
    no_memory
    failing_card
}

pid() { systemctl show --value -p MainPID $service; }
same_process() { [ "$(pid)" = "$1" ] && systemctl is-active --quiet $service; }

# without_receiver COMMAND...: meanwhile heartbeats wait in the backlog, which the service writes when it stops.
without_receiver() {
    systemctl stop receiver
    eventually 'heartbeats wait in the backlog' has_queued
    "$@"
    start_receiver
}
has_queued() { heartbeat-daemon status --json | grep -E '"waiting": *[1-9]' >/dev/null; }

clock_years() {
    step 'the clock jumps by years'
    # An interval that a busy host can keep.
    sed -i 's/^interval = 2$/interval = 10/' $config
    restart
    beats_arrive 'heartbeats arrive'
    # A busy host makes a heartbeat late; what does not keep its grid never does.
    eventually 'through three jumps of years the same process keeps the grid' jump
    sed -i 's/^interval = 10$/interval = 2/' $config
    restart
    beats_arrive 'and heartbeats arrive'
}

jump() {
    local first process years
    first=$(beats)
    process=$(pid)
    for years in 3 -6 3; do
        beats_arrive 'heartbeats arrive'
        date -s "@$(($(date +%s) + years * 365 * 86400))" >/dev/null
    done
    beats_arrive 'heartbeats arrive'
    same_process "$process" || return
    tail -n "+$first" $received >/run/jumps
    $here/grid /run/jumps "$(sed -n 's/.*"hardwareid":"\([^"]*\)".*/\1/p' /run/jumps | head -n 1)" 10
}

cannot_write() { ! { echo x >"$1"; } 2>/dev/null; }

full_disk() {
    step 'a full disk'
    local process
    process=$(pid)
    # Both end by the error that the disk is full: that is what they are for.
    fallocate -l "$(df --output=avail -B1 / | tail -n 1)" /var/fill || true
    dd if=/dev/zero of=/var/filled-up bs=64k 2>/dev/null || true
    check 'the disk is full' cannot_write /var/another
    without_receiver true
    beats_arrive 'heartbeats arrive with a full disk'
    check 'of the same process' same_process "$process"
    without_receiver restart
    beats_arrive 'and after a restart'
    rm -f /var/fill /var/filled-up /var/another
    restart
    beats_arrive 'and with space again'
}

read_only_root() {
    step 'a root that becomes read-only'
    local process
    process=$(pid)
    # As the kernel does after an error; files that are open for writing do not prevent it.
    echo u >/proc/sysrq-trigger
    eventually 'the root is read-only' cannot_write /var/another
    without_receiver true
    beats_arrive 'heartbeats arrive with a read-only root'
    check 'of the same process' same_process "$process"
    without_receiver restart
    beats_arrive 'and after a restart'
    eventually 'the root can be written again' mount -o remount,rw /
    restart
    beats_arrive 'heartbeats arrive'
}

# Something else takes all memory but 40 MB. Then the kernel ends what it ends when there is none (sysrq f), at once: by itself
# it first reads programs again and again, for as long as the host is slow. The service offers itself sooner than most
# (OOMScoreAdjust=200), but it is small.
no_memory() {
    step 'no memory'
    local process
    process=$(pid)
    systemd-run --quiet --unit=eater python3 -c '
import signal
eaten = []
def available():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
while available() > 40 * 1024:
    eaten.append(b"x" * (1 << 20))
open("/run/eaten", "w").close()
signal.pause()
'
    eventually 'memory is eaten' test -e /run/eaten
    beats_arrive 'heartbeats arrive'
    echo f >/proc/sysrq-trigger
    eventually 'the kernel kills what ate it' eaten
    systemctl reset-failed eater
    beats_arrive 'heartbeats arrive'
    check 'of the same process' same_process "$process"
}
eaten() { [ "$(systemctl show --value -p ActiveState eater)" = failed ]; }

# The state directory is on a card of its own, which fails (device mapper: targets error and flakey).
failing_card() {
    step 'a card that answers with errors'
    modprobe -a loop dm-mod dm-flakey
    truncate -s 32M /run/card
    card=$(losetup --find --show /run/card)
    sectors=$((32 * 2048))
    systemctl stop $service
    dmsetup create card --table "0 $sectors linear $card 0"
    mkfs.ext4 -q /dev/mapper/card
    mount /dev/mapper/card /mnt
    cp -a $state/. /mnt/
    umount /mnt
    mount /dev/mapper/card $state
    systemctl start $service
    beats_arrive 'heartbeats arrive with the state on a card'
    local process
    process=$(pid)
    # Two seconds well, two seconds with errors.
    card_is "flakey $card 0 2 2"
    without_receiver true
    beats_arrive 'while it fails now and then'
    card_is error
    check 'the card fails' card_fails
    without_receiver true
    beats_arrive 'while it always fails'
    check 'of the same process' same_process "$process"
    without_receiver restart
    beats_arrive 'and after a restart'
    card_is "linear $card 0"
    systemctl stop $service
    umount $state
    e2fsck -fy /dev/mapper/card >$out/e2fsck 2>&1 || [ $? = 1 ] || fail "e2fsck: $(cat $out/e2fsck)"
    mount /dev/mapper/card $state
    systemctl start $service
    beats_arrive 'and when it is well again'
    check 'nothing of the state was damaged' nothing_damaged
    systemctl stop $service
    umount $state
    dmsetup remove card
    losetup -d "$card"
    systemctl start $service
    beats_arrive 'heartbeats arrive with the state on the root'
}

# card_is TARGET: from now on. What waits to be written is not written first.
card_is() {
    dmsetup suspend --nolockfs --noflush card
    dmsetup load card --table "0 $sectors $1"
    dmsetup resume card
}
card_fails() { ! dd if=/dev/mapper/card of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; }
nothing_damaged() { [ -z "$(find $state -name '*.damaged')" ]; }

# Nothing takes the heartbeats, so that the backlog is written each time the service stops, and this never ends.
power_cut() {
    step 'writes, until the power is cut'
    ip link set lo up
    local written=0
    while true; do
        eventually 'heartbeats wait in the backlog' has_queued >/dev/null
        restart
        written=$((written + 1))
        echo "=== written $written"
    done
}

after_power_cuts() {
    step 'after the power cuts'
    check 'the service has started' systemctl is-active --quiet $service
    check 'nothing of the state was damaged' nothing_damaged
    local before
    before=$(beats)
    start_receiver
    beats_arrive 'heartbeats arrive'
    eventually 'and those from before the cuts' replayed_after "$before"
    check 'all heartbeats were of one board' one_board
}
replayed_after() { tail -n "+$(($1 + 1))" $received | grep '"replayed":true' >/dev/null; }
