# Taking over from the older service, laid out as its users have it.
python3=/usr/bin/python3

# An install over the older service: ours runs, the old one does not. $1: what.
takes_over() {
    install "$1" first.deb
    check '  the new service runs' ours
    check '  and is enabled' enabled
    check '  the old process is gone' eval '! old_runs'
}

device() {
    old_service pi /home/pi/flask_app
    chmod 700 "$root/home/pi"
}
new_device device
eventually 'the old service runs' old_runs
eventually 'and leaves its file' inside test -s /tmp/rpi_streamer_heartbeat.json
takes_over 'over a unit with User=pi'
check '  it says so' said 'taking over from the service in /etc/systemd/system/heartbeat-daemon.service'
check '  where it sent stays, with where that stood' setting '^url = "https://server.test/older"   # HEARTBEAT_URL in /home/pi/flask_app/heartbeat_daemon.py, line 11$'
check '  and is printed' said 'config.toml: url = "https://server.test/older"'
check '  a timeout above the interval is cut' setting '^timeout = 1   # REQUEST_TIMEOUT .*; was 2$'
check '  which is said' said 'ATTENTION: timeout is 1 s instead of 2 s'
check '  the id that the server knows stays' setting '^hardware_id = "024200c0ffee"   # /tmp/rpi_streamer_heartbeat.json'
check '  and is printed' said 'the id that the server knows stays: 024200c0ffee'
check '  it runs as pi' [ "$(property User)" = pi ]
beat_arrives '  heartbeats arrive'
check '  with that id' last_has '"hardwareid":"024200c0ffee"'
check '  and the version of the application in the home of pi' last_has "\"app_version\":\"$(shell 'date -r /home/pi/flask_app/app.py "+%Y-%m-%d %H:%M"')\""
check '  by hand, the same settings are used' eval 'inside heartbeat-daemon send 2>&1 | grep -q "delivered"'
if [ "$release" = bookworm ]; then shown cat $config; shown cat /etc/heartbeat-daemon/unit.conf; fi

# An updater of the older application brings its unit back.
shell "cp /etc/systemd/system/$service.replaced /etc/systemd/system/$service
    sed -i 's/^User=.*//' /etc/systemd/system/$service
    systemctl daemon-reload; systemctl enable --quiet $service; systemctl restart $service"
eventually 'an updater brings the old service back' old_runs
check '  which runs as it is told to, without our lines' [ "$(property User)$(property BindReadOnlyPaths)$(property DynamicUser)" = no ]
inside heartbeat-daemon takeover --check >"$work/said" 2>&1 || true
check '  takeover --check says whose unit stands there' said "/etc/systemd/system/$service is not this program's"
# Without a new package.
inside dpkg-reconfigure heartbeat-daemon >"$work/said" 2>&1 || fail "dpkg-reconfigure: $(cat "$work/said")"
check 'dpkg-reconfigure takes over again' ours
check '  and enables it' enabled
check '  the old process is gone' eval '! old_runs'
check '  with one url' [ "$(inside grep -c '^url' $config)" = 1 ]
check '  as pi, as before' [ "$(property User)" = pi ]

device() {
    old_service '' /home/pi/flask_app 'EnvironmentFile=/etc/default/heartbeat'
    chmod 700 "$root/home/pi"
    sed -i 's,^HEARTBEAT_URL = .*,HEARTBEAT_URL = os.environ.get("HEARTBEAT_URL"),' "$root/home/pi/flask_app/heartbeat_daemon.py"
    printf 'HEARTBEAT_URL="https://server.test/environment?key=s3cret"\n' >"$root/etc/default/heartbeat"
    chmod 600 "$root/etc/default/heartbeat"
}
new_device device
takes_over 'over a unit that ran as root, with an environment file'
check '  its url is taken' setting '^url = "https://server.test/environment?key=s3cret"'
check '  and kept from others' [ "$(inside stat -c '%a %G' $config)" = '640 heartbeat-daemon' ]
check '  also on the terminal' eval '! said s3cret'
check '  it has a user of its own' [ "$(property User)" = heartbeat-daemon ]
beat_arrives '  heartbeats arrive'
check '  with the version of an application in a closed home' last_has "\"app_version\":\"$(shell 'date -r /home/pi/flask_app/app.py "+%Y-%m-%d %H:%M"')\""

device() {
    old_service pi /home/pi/flask_app
    mv "$root/etc/systemd/system/$service" "$root/home/pi/flask_app/"
    rm "$root/etc/systemd/system/multi-user.target.wants/$service"
    chroot "$root" systemctl --quiet enable "/home/pi/flask_app/$service" 2>/dev/null
    mkdir -p "$root/home/pi/other" "$root/etc/systemd/system/$service.d"
    sed 's,/older,/override,' "$root/home/pi/flask_app/heartbeat_daemon.py" >"$root/home/pi/other/heartbeat_daemon.py"
    printf '[Service]\nExecStart=\nExecStart=%s -u /home/pi/other/heartbeat_daemon.py\n' $python3 \
        >"$root/etc/systemd/system/$service.d/override.conf"
}
new_device device
eventually 'a unit linked from a home, with override.conf, runs' old_runs
takes_over 'over a linked unit with a drop-in'
check '  the drop-in counted' setting '^url = "https://server.test/override"'
check '  and is out of the way' eval '! inside test -e /etc/systemd/system/$service.d/override.conf'
check '  the file in the home is left' inside test -f /home/pi/flask_app/$service
beat_arrives '  heartbeats arrive'
inside systemctl daemon-reload
check '  also after the next reload ours stands there' inside heartbeat-daemon takeover --check

device() {
    mkdir -p "$root/home/pi/flask_app"
    cp packaging/tests/heartbeat_daemon.py "$root/home/pi/flask_app/"
    printf '#!/bin/sh\ncd /home/pi/flask_app && setsid python3 heartbeat_daemon.py &\n' >"$root/etc/rc.local"
    chmod 755 "$root/etc/rc.local"
}
new_device device
eventually 'a process from rc.local runs' old_runs
takes_over 'over a process that no unit owns'
check '  which is said' said 'process [0-9]* is ended (python3 heartbeat_daemon.py)'
check '  and what starts it again' said 'ATTENTION: /etc/rc.local starts heartbeat_daemon.py again'
check '  its url is taken' setting '^url = "https://server.test/older"'
beat_arrives '  heartbeats arrive'

device() {
    old_service pi /home/pi/flask_app
    mv "$root/etc/systemd/system/$service" "$root/etc/systemd/system/my-heartbeat.service"
    rm "$root/etc/systemd/system/multi-user.target.wants/$service"
    chroot "$root" systemctl --quiet enable my-heartbeat.service 2>/dev/null
}
new_device device
eventually 'a unit of another name runs' old_runs
takes_over 'over the older service under another name'
check '  it is disabled' eval '! inside systemctl --quiet is-enabled my-heartbeat.service'
check '  which is said' said 'my-heartbeat.service is the older service under another name: stopped and disabled'

# Where it does not run: nothing but files tells where it sent.
device() {
    old_service pi /home/pi/flask_app
    mv "$root/etc/systemd/system/$service" "$root/etc/systemd/system/my-heartbeat.service"
    rm "$root/etc/systemd/system/multi-user.target.wants/$service"
    sed -i 's,^ExecStart=.*,ExecStart=/bin/sh -c "cd /home/pi/flask_app \&\& exec env HEARTBEAT_URL=https://server.test/command python3 heartbeat_daemon.py",' \
        "$root/etc/systemd/system/my-heartbeat.service"
    sed -i 's,^HEARTBEAT_URL = .*,HEARTBEAT_URL = os.environ.get("HEARTBEAT_URL"\, "https://not.this.one/"),' "$root/home/pi/flask_app/heartbeat_daemon.py"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../my-heartbeat.service "$root/etc/systemd/system/multi-user.target.wants/"
    # It is started by the next boot.
    printf '[Unit]\nConditionPathExists=/etc/next-boot\n' >>"$root/etc/systemd/system/my-heartbeat.service"
    mkdir -p "$root/home/pi/.config/systemd/user"
    printf '[Service]\nExecStart=python3 %%h/flask_app/heartbeat_daemon.py\n' >"$root/home/pi/.config/systemd/user/heart.service"
}
new_device device
check 'a unit of another name does not run' eval '! old_runs'
takes_over 'over it'
check '  its command counted' setting '^url = "https://server.test/command"   # HEARTBEAT_URL, its command$'
check '  it does not start with the next boot' eval '! inside systemctl --quiet is-enabled my-heartbeat.service'
check '  which is said' said 'my-heartbeat.service is the older service under another name: disabled'
check '  and what a user can start' said 'heart.service starts heartbeat_daemon.py again: as pi: systemctl --user disable --now heart.service'

device() {
    old_service pi /home/pi/flask_app
    sed -i 's,^HEARTBEAT_URL = .*,HEARTBEAT_URL = f"https://{os.uname().nodename}/",' "$root/home/pi/flask_app/heartbeat_daemon.py"
}
new_device device
beats_before=$(beats)
install 'over a program whose url cannot be read' first.deb
check '  it is said loudly' said 'ATTENTION: NOTHING IS SENT until you set url in /etc/heartbeat-daemon/config.toml'
check '  the old process is gone' eval '! old_runs'
eventually '  the service waits for a url' failed
check '  nothing is sent' [ "$(beats)" = "$beats_before" ]
shell "sed -i 's,^url = .*,url = \"https://server.test/set-now\",' $config; systemctl restart $service"
beat_arrives '  with a url, heartbeats arrive'

# Into an image, on a machine that runs such a service itself.
device() {
    old_service pi /home/pi/flask_app
    echo 'import time; time.sleep(600)' >"$work/heartbeat_daemon.py"
    # Its process numbers are its own, so that nothing else of this machine is in danger.
    unshare --pid --fork --mount sh -c 'mount -t proc proc "$1/proc" && mount --bind /sys "$1/sys"
        python3 "$2" &
        chroot "$1" dpkg -i /root/first.deb
        status=$?
        kill -0 $! && echo "the other one lives"
        exit $status' - "$root" "$work/heartbeat_daemon.py" >"$work/said" 2>&1 || fail "in an image: $(cat "$work/said")"
}
new_device device
check 'installed into an image, the service of the machine around it lives' said 'the other one lives'
check '  and tells no settings' eval '! said "process [0-9]"'
check '  the url is that of the service in the image' setting '^url = "https://server.test/older"'
check '  the id of the machine around it is not taken' eval '! setting "^hardware_id"'
# Where the machine has one interface only, both programs find the same id, and there is nothing to say.
check '  which is said where it differs' eval \
    'said "may be that of the machine on which this image is made" || ! said "the id "'
check '  the new service runs after the boot' ours
