# What another user of the device, and the daemon itself if it were taken over, can do to the service and to root.
# as USER COMMAND...: with that user's groups, as a login has them.
as() {
    local user=$1
    shift
    inside setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}
# All but tabs and line ends.
control='[\x00-\x08\x0b-\x1f\x7f]'
harmless() { [ -s "$work/said" ] && ! LC_ALL=C grep -qP "$control" "$work/said"; }
status_says() { inside timeout 20 heartbeat-daemon status >"$work/said" 2>&1 || true; }

device() {
    configured 'https://server.test/heartbeat.php?key=s3cret'
    printf 'headers = { X-Site = "s3cret" }\ntoken_file = "/etc/heartbeat-daemon/token"\n' >>"$root$config"
    echo s3cret >"$root/etc/heartbeat-daemon/token"
    chmod 640 "$root$config" "$root/etc/heartbeat-daemon/token"
}
new_device device
install 'it installs' first.deb
inside chgrp -R heartbeat-daemon /etc/heartbeat-daemon
inside systemctl restart $service
beat_arrives 'with secrets, it sends'
daemon=$(property MainPID)
for what in 'heartbeat-daemon status' 'heartbeat-daemon status --json' 'heartbeat-daemon check-config' 'heartbeat-daemon doctor' \
    'heartbeat-daemon send' "systemctl status $service" "systemctl show $service" "journalctl -u $service" \
    "cat /proc/$daemon/cmdline" "cat /proc/$daemon/environ" 'grep -r . /run/heartbeat-daemon'; do
    # Words that are meant to be several.
    # shellcheck disable=SC2086
    inside $what >"$work/said" 2>&1 || true
    check "  no secret in $what" eval '[ -s "$work/said" ] && ! grep -aq s3cret "$work/said"'
done
inside chmod 644 $config
inside systemctl restart $service || true
eventually '  a header in a file that others may read is refused' failed
check '  which is said' grep -q 'config.toml:[0-9]*: headers: .*others' <(inside journalctl -q -u $service -n 20)
inside chmod 640 $config
inside systemctl restart $service
daemon=$(property MainPID)

for file in environ mem maps fd; do
    check "another user cannot read /proc/PID/$file" eval '! as other ls /proc/$daemon/$file/ >/dev/null 2>&1 && ! as other head -c 1 /proc/$daemon/$file >/dev/null 2>&1'
done
for how in "systemctl stop $service" "systemctl kill $service" "systemctl edit --runtime $service" "unshare -r systemctl stop $service" \
    'heartbeat-daemon takeover --user other' '/usr/lib/heartbeat-daemon/setup configure --user other'; do
    # shellcheck disable=SC2086
    check "another user cannot: $how" eval "! as other $how >/dev/null 2>&1 </dev/null"
done
check 'another user cannot: kill it' eval '! as other sh -c "kill -9 $daemon" 2>/dev/null'
check '  it runs on' [ "$(property MainPID)" = "$daemon" ]
for user in other pi root; do
    status=0
    as $user heartbeat-daemon run --config /dev/null --url https://server.test/heartbeat.php >"$work/said" 2>&1 || status=$?
    check "a second daemon, of $user, ends with status 75" [ $status = 75 ]
done

# /tmp belongs to everybody.
as other flock /tmp/heartbeat_daemon.pid sleep 1000 >/dev/null 2>&1 &
eventually 'another user locks the pidfile of the older service' inside test -e /tmp/heartbeat_daemon.pid
inside systemctl restart $service
beat_arrives '  it starts and sends'
shell 'rm /tmp/heartbeat_daemon.pid'
as other mkfifo /tmp/heartbeat_daemon.pid /tmp/relay-ffmpeg-webcam.pid
as other ln -s /etc/shadow /tmp/gps-tracker.pid
as other ln -s / /tmp/gps_daemon.sock
as other sh -c 'printf "1:/tmp/\033]0;owned\007\033[2J\177" >/tmp/relay-ffmpeg-record-webcam.pid'
inside systemctl restart $service
beat_arrives 'with FIFOs and links in the place of pidfiles and sockets, it sends'
eventually '  the recording is reported' last_has '"recording_file_path":"/tmp/'
for what in 'heartbeat-daemon status' 'heartbeat-daemon doctor' 'heartbeat-daemon sample' 'heartbeat-daemon status --json' \
    "journalctl --no-pager -u $service"; do
    # shellcheck disable=SC2086
    inside $what >"$work/said" 2>&1 || true
    check "  no control character in $what" harmless
done

# The daemon's user, outside of the sandbox, in which only itself can run: it can do more here than in it.
within() { as heartbeat-daemon sh -c "$1"; }
runtime=/run/heartbeat-daemon
check 'for the user of the service, systemd starts nothing' eval '! within "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager RestartUnit ss dbus.service replace" >/dev/null 2>&1'
# A login of the user, as this one may be, has groups of its own.
writable=$(within 'find /sys/fs/cgroup -name cgroup.procs -writable -not -path "*/user@$(id -u).service/*" 2>/dev/null' || true)
check '  and it can enter no other control group' [ -z "$writable" ]
within "ln -s /etc/made-by-root $runtime/status.json.new"
before=$(beats)
eventually 'a link in the place of its new status' eval "[ \$(beats) -gt $((before + 2)) ]"
check '  is not followed' eval '! inside test -e /etc/made-by-root'
daemon=$(property MainPID)
shell "kill -STOP $daemon"
within "sed -i 's/https:/\\\\u001b]0;owned\\\\u0007\\\\u009b2J\\\\u202e/; s/delivered, /\\\\u001b[2J/' $runtime/status.json && grep -q u001b $runtime/status.json"
status_says
check 'a status with control characters is harmless on the terminal of root' harmless
for made in 'mkfifo' 'mkdir' 'ln -s /etc/shadow' 'ln -s /dev/zero'; do
    within "rm -rf $runtime/status.json; $made $runtime/status.json"
    status_says
    check "in the place of its status: $made: nothing hangs or is shown" eval 'harmless && ! grep -q "root:" "$work/said"'
done
within "rm -rf $runtime/status.json; head -c 100000000 /dev/zero >$runtime/status.json" || true
status_says
check 'a status of 100 MB is refused' eval 'harmless && grep -q "larger than" "$work/said"'
within "rm -rf $runtime/status.json $runtime/lock; mkfifo $runtime/lock"
shell "kill -KILL $daemon"
eventually 'it is brought back' restarted_from "$daemon"
beat_arrives '  and sends'
within "rm -rf /var/lib/heartbeat-daemon/*; ln -s /etc/made-by-root /var/lib/heartbeat-daemon/backlog; ln -s /etc/made-by-root /var/lib/heartbeat-daemon/backlog.lock"
shell "printf '\n[backlog]\nbeats = 9\nfile = \"/var/lib/heartbeat-daemon/backlog\"\n' >/root/c.toml; cat $config /root/c.toml >/root/both.toml
    chmod 600 /root/both.toml; timeout 5 heartbeat-daemon run --config /root/both.toml --pidfile ''" >"$work/said" 2>&1 || true
check 'root by hand follows no link in its state directory' eval '! inside test -e /etc/made-by-root'
