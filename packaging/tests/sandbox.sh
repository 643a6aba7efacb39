# What the service may do is tried by a program in its place, as its own user and as pi; `probe.c` says what. The table in
# doc/security.md is what must come out.
probe_says() {
    shell "cat >/run/systemd/system/$service.d/50-probe.conf" <<'UNIT'
[Service]
Type=exec
Restart=no
StandardOutput=append:/run/probe.out
UNIT
    inside rm -f /run/probe.out
    inside systemctl daemon-reload
    inside systemctl restart $service
    eventually "the probe ran as $1" eval '[ "$(property ActiveState)" = inactive ]'
    inside cat /run/probe.out
}

# expected COLUMN: what the table says, in the probe's words.
expected() {
    awk -F ' *[|] *' -v column="$1" '
        /^\| it can / { for (i = 1; i <= NF; i++) if ($i ~ column) wanted = i; next }
        wanted && !/^\|/ { exit }
        wanted && !/^\|-/ { print (($wanted == "no") ? "cannot " : "can ") $2 }' doc/security.md
}

same_as_table() {
    local difference
    difference=$(diff <(expected "$1" | sort) <(grep -E '^can(not)? ' <<<"$2" | sort)) || fail "$1: $difference"
    ok "what it can do is what doc/security.md says ($1, $(grep -c '^cannot ' <<<"$2") attempts failed)"
}

place_probe() {
    configured https://server.test/heartbeat.php
    cc -static -O1 -Wall -Wextra -o "$root/root/probe" packaging/tests/probe.c
    mkdir -m 700 "$root/home/pi/.ssh"
    echo key >"$root/home/pi/.ssh/id_ed25519"
    chown -R 1000 "$root/home/pi/.ssh"
    echo secret >"$root/home/other/file"
    chmod 755 "$root/home/other" "$root/home/pi"
    # A program that it may run.
    cp "$root/bin/true" "$root/usr/bin/vcgencmd"
}

new_device place_probe
install 'it installs' first.deb
shell 'mkdir -p /run/user/1000 && chown 1000:1000 /run/user/1000
    for place in /tmp /var/tmp /dev/shm /home/pi /run/lock /run/user/1000; do cp /root/probe $place/probe-copy; done'
# Servers of pi: in /tmp, as that of tmux; in the abstract namespace, as that of a desktop; D-Bus.
inside setpriv --reuid=pi --regid=pi --clear-groups sh -c 'umask 077; mkdir /tmp/tmux-1000; exec python3 -c "
import socket, signal
servers = []
for place in \"\0pi\", \"/run/user/1000/bus\", \"/tmp/tmux-1000/default\":
    server = socket.socket(socket.AF_UNIX); server.bind(place); server.listen(9); servers.append(server)
signal.pause()"' \
    >/dev/null 2>&1 &
eventually 'pi has a server in /tmp' inside test -S /tmp/tmux-1000/default
inside mount --bind /root/probe /usr/bin/heartbeat-daemon
inside mkdir -p /run/systemd/system/$service.d
within=$(probe_says heartbeat-daemon)
shown cat /run/probe.out
same_as_table "$release" "$(grep -v '^ok ' <<<"$within")"
# Outside, as root.
without=$(inside /root/probe | grep -c '^can ') || true
check "the probe can tell: $without attempts succeed outside" [ "$without" -ge 40 ]

if [ "$release" = bookworm ]; then
    inside umount /usr/bin/heartbeat-daemon
    inside /usr/lib/heartbeat-daemon/setup configure --user pi >/dev/null
    inside mount --bind /root/probe /usr/bin/heartbeat-daemon
    within=$(probe_says pi)
    same_as_table 'as pi' "$(grep -v '^ok ' <<<"$within")"
fi
