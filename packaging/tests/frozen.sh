# What the daemon talks to stands still: systemd, the journal, D-Bus, storage. Heartbeats go on.
device() {
    configured https://server.test/heartbeat.php
    mkdir -p "$root/srv/app" "$root/mnt/usb"
    printf 'app_dir = "/srv/app"\ndisk_path = "/mnt/usb"\n\n[backlog]\nbeats = 20\nfile = "/var/lib/heartbeat-daemon/backlog"\n' \
        >>"$root$config"
}
new_device device
install 'it installs' first.deb
beat_arrives 'it sends'

# Several, because one may have been under way.
goes_on() {
    local i
    for i in 1 2; do beat_arrives "$1 (heartbeat $i)"; done
}

# fill SOCKET: sends to a socket of the container, which Python opens as `full`, until it has no more room.
fill() {
    python3 -c "
import ctypes, os, socket
$1
sent = 0
try:
    while True:
        full.send(b'X_FILL=1\n', socket.MSG_DONTWAIT); sent += 1
except BlockingIOError:
    print(sent)"
}

daemon=$(property MainPID)
kill -STOP "$leader"
filled=$(fill 'full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); full.connect("/proc/'"$leader"'/root/run/systemd/notify")')
goes_on "while systemd stands still and its socket is full ($filled messages)"
check '  status answers' quietly inside heartbeat-daemon status
shell "kill $daemon"
eventually '  and SIGTERM ends it' eval '! inside grep -qs "^State:.[^Z]" "/proc/$daemon/status"'
kill -CONT "$leader"
eventually '  systemd goes on and brings it back' eval '[ "$(property MainPID)" != "$daemon" ] && ours'
goes_on '  and it sends'

daemon=$(property MainPID)
journal=$(property MainPID systemd-journald.service)
shell "kill -STOP $journal"
# Its standard error, as another process gets hold of it (pidfd_getfd(2)).
outside=$(pgrep --ns "$leader" --nslist pid -x heartbeat-daemo)
filled=$(fill "full = socket.socket(fileno=ctypes.CDLL(None).syscall(438, os.pidfd_open($outside), 2, 0))")
ip -n "$name-server" link set eth0 down
eventually 'heartbeats fail while the journal stands still' eval '[ "$(failures)" -ge 2 ]'
ip -n "$name-server" link set eth0 up
goes_on "  whose socket is full ($filled messages), and arrive again"
check '  status answers' quietly inside heartbeat-daemon status
shell "kill -CONT $journal"

bus=$(property MainPID dbus.service)
shell "kill -STOP $bus"
inside systemctl restart $service
eventually 'D-Bus stands still, and mmcli waits for it' pgrep --ns "$leader" --nslist pid -x mmcli
goes_on '  heartbeats arrive'
check '  status answers' quietly inside heartbeat-daemon status
shell "kill -CONT $bus"

# A filesystem whose server never answers, as that of an unplugged network drive.
hang() {
    exec 9<>/dev/fuse
    nsenter -t "$leader" -m mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0,allow_other silent "$1" 2>>"$work/said" ||
        fail "no filesystem that hangs: $(cat "$work/said")"
}
daemon=$(property MainPID)
hang /mnt/usb
eventually 'a filesystem that never answers is seen by the service' inside grep -q ' /mnt/usb ' "/proc/$daemon/mounts"
goes_on 'while disk_path never answers'
eventually '  its values are missing then' eval 'last_has "\"disk\":null" || last_has "\"disk\":{\"percent\":null"'
check '  status answers' quietly inside heartbeat-daemon status
old_pid=$daemon
inside systemctl restart $service
check '  it can be restarted' restarted
goes_on '  and sends'
exec 9>&-
inside umount -l /mnt/usb
hang /srv/app
inside systemctl restart $service
goes_on 'while app_dir never answers'
check '  its version is missing then' last_has '"app_version":null'
exec 9>&-
inside umount -l /srv/app

# Its state directory is full, or read-only: what is kept over a restart is lost, and that is said.
state=/var/lib/heartbeat-daemon
inside systemctl stop $service
inside mount -t tmpfs -o "size=16k,uid=$(shell 'id -u heartbeat-daemon'),mode=755" full $state
# It ends with an error when the filesystem is full, which is wanted.
shell "head -c 16384 /dev/zero >$state/filler 2>/dev/null" || true
outage=$(date +%s.%N)
ip -n "$name-server" link set eth0 down
inside systemctl start $service
said_since() { inside journalctl -q -u $service --since "@$outage" -g "$1"; }
eventually 'its state directory is full: heartbeats are not delivered' said_since 'not delivered'
inside systemctl stop $service
shown journalctl -q -u $service --since "@$outage"
check '  that nothing can be kept is said' quietly said_since 'No space left'
inside rm $state/filler
inside mount -o remount,ro $state
ip -n "$name-server" link set eth0 up
outage=$(date +%s.%N)
inside systemctl start $service
goes_on 'its state directory is read-only'
ip -n "$name-server" link set eth0 down
eventually '  heartbeats are not delivered' said_since 'not delivered'
inside systemctl stop $service
shown journalctl -q -u $service --since "@$outage"
check '  that is said, too' quietly said_since 'Read-only file system'
ip -n "$name-server" link set eth0 up
