# Older services that something else than systemd starts again, that are in a container, or of which there are two.
heart=/home/pi/flask_app/heartbeat_daemon.py
program() {
    mkdir -p "$root$(dirname "$1")"
    cp packaging/tests/heartbeat_daemon.py "$root$1"
}

# As supervisor, PM2 or a loop in a terminal: the unit does not name the program.
device() {
    program $heart
    printf '#!/bin/sh\nwhile :; do python3 "$(cat /etc/kept)"; sleep 0.2; done\n' >"$root/usr/local/bin/keeper"
    chmod 755 "$root/usr/local/bin/keeper"
    echo $heart >"$root/etc/kept"
    printf '[Service]\nUser=pi\nExecStart=/usr/local/bin/keeper\n[Install]\nWantedBy=multi-user.target\n' \
        >"$root/etc/systemd/system/keeper.service"
    chroot "$root" systemctl --quiet enable keeper.service 2>/dev/null
}
new_device device
eventually 'a program that keeps others running runs the older service' old_runs
install 'over it' first.deb
check '  its url is taken' setting '^url = "https://server.test/older"'
check '  what starts it again is named' said 'ATTENTION: keeper.service has started an older heartbeat service'
check '  and is not stopped' inside systemctl --quiet is-active keeper.service
check '  the new service runs' ours
eventually '  the older one is started again' old_runs
# Its exit status tells of values that are missing in a container; what it says is checked.
inside heartbeat-daemon doctor >"$work/said" 2>&1 || true
check '  which doctor says' said 'an older heartbeat service still runs: process'

# As docker, in process numbers of its own.
device() { program $heart; }
new_device device
inside unshare --pid --fork --mount-proc python3 $heart >/dev/null 2>&1 &
eventually 'the older service runs in a container' old_runs
install 'over it' first.deb
check '  it is named' said 'ATTENTION: an older heartbeat service runs in a container: process'
check '  nothing is sent, because where it sends cannot be read' setting '^url = ""'
check '  which is said' said 'ATTENTION: NOTHING IS SENT'
check '  it is left alone' old_runs

# Two installations; the one that runs counts, and the other one is named.
device() {
    old_service pi /home/pi/flask_app
    program /opt/second/heartbeat_daemon.py
    sed -i 's,/older,/second,' "$root/opt/second/heartbeat_daemon.py"
    mkdir -p "$root/etc/supervisor/conf.d"
    printf '[program:second]\ncommand=python3 heartbeat_daemon.py\ndirectory=/opt/second\n' >"$root/etc/supervisor/conf.d/second.conf"
}
new_device device
eventually 'one of two installations runs' old_runs
install 'over both' first.deb
check '  the new service runs' ours
check '  with the settings of the unit' setting '^url = "https://server.test/older"'
check '  the other one is named' said 'ATTENTION: there is another older service, /opt/second/heartbeat_daemon.py'
check '  and what starts it' said 'ATTENTION: /etc/supervisor/conf.d/second.conf starts heartbeat_daemon.py again'
check '  the older processes are gone' eval '! old_runs'

# Settings by a link into a home, which the service does not see: it must not fall back to the default address.
device() {
    mkdir -p "$root/etc/heartbeat-daemon"
    printf 'url = "https://server.test/linked"\n' >"$root/home/pi/heart.toml"
    ln -s /home/pi/heart.toml "$root$config"
}
new_device device
install 'settings are a link into a home' first.deb
eventually '  which is said' eval 'inside journalctl -q -u $service -g "config.toml: "'
check '  the link stays' [ "$(inside readlink $config)" = /home/pi/heart.toml ]
eventually '  it does not run with the defaults in their place' failed
shown journalctl -q -u $service
