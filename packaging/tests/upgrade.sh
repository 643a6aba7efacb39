# Upgrades ask no questions, and change no setting that an administrator has made.
new_device configured https://server.test/heartbeat.php
install 'it installs' first.deb
shell "echo 'sequence = false  # edited' >>$config"
old_pid=$(property MainPID)
install 'an upgrade with other defaults asks no question' next.deb
check '  the configuration is as it was' [ "$(inside sed -n '4p' $config)" = 'sequence = false  # edited' ]
check '  no other file is beside it' [ "$(inside ls /etc/heartbeat-daemon | xargs)" = 'config.toml unit.conf' ]
check '  the service is restarted' restarted
beat_arrives '  and sends'
check '  with that configuration' eval '! last_has \"boot_id\"'

inside systemctl stop $service
install 'an upgrade of a stopped service' first.deb
check '  stopped, it stays so' eval '! active'
check '  and starts with the next boot' enabled
inside systemctl disable --quiet --now $service
install 'an upgrade of a disabled service' next.deb
check '  disabled, it stays so' eval '! enabled && ! active'
inside systemctl enable --quiet --now $service

shell "sed -i '1iintervall = 5' $config"
inside systemctl restart $service || true
eventually 'it fails with a wrong setting' failed
shell "sed -i 1d $config"
install 'an upgrade of a failed service' first.deb
check '  tries it again' ours

# As `systemctl edit --full` does.
shell "sed 's/^MemoryMax=.*/MemoryMax=47M/' /usr/lib/systemd/system/$service >/etc/systemd/system/$service"
install 'an upgrade with an edited unit' next.deb
check '  keeps it' inside grep -q 'MemoryMax=47M' /etc/systemd/system/$service
check '  and applies it' [ "$(property MemoryMax)" = 49283072 ]
check '  with the user of the installation' [ "$(property User)" = heartbeat-daemon ]
check '  it runs' ours
inside rm /etc/systemd/system/$service

inside /usr/lib/heartbeat-daemon/setup configure --user pi >"$work/said"
check 'another user can be chosen' said 'it runs as pi'
inside systemctl restart $service
check '  and is used' [ "$(inside stat -c %U "/proc/$(property MainPID)")" = pi ]
install 'an upgrade' first.deb
check '  keeps the choice' [ "$(inside stat -c %U "/proc/$(property MainPID)")" = pi ]

touch "$root/run-away"
shell "while [ -e /run-away ]; do systemctl kill --signal=KILL $service; done" >/dev/null 2>&1 &
killer=$!
install 'an upgrade while it is killed again and again' next.deb
rm "$root/run-away"
wait $killer || true
eventually '  it runs' ours
beat_arrives '  and sends'
install 'a downgrade' first.deb
shell "kill -9 $(property MainPID)"
inside dpkg -r heartbeat-daemon >/dev/null 2>&1
# Versions of systemd differ in whether the end by the signal is still told.
check 'removed while it waits to be started again, it is stopped' eval '[[ $(property SubState) = @(dead|failed) ]]'
check '  and has left no process' eval '! inside grep -lqs ^heartbeat-daemo /proc/[0-9]*/comm'
install 'installed again' next.deb
inside dpkg -r heartbeat-daemon >/dev/null 2>&1
check 'removed, it is stopped' eval '! active'
check '  and keeps its configuration' setting '# edited'
install 'installed again' first.deb
check '  it runs' ours
check '  and is enabled' enabled
beat_arrives '  and sends'

# Interrupted before it is configured, as by a power cut: what was in /run is gone.
for what in 'first installation' 'second installation'; do
    if [ "$what" = 'first installation' ]; then
        new_device configured https://server.test/heartbeat.php
    else
        inside dpkg -r heartbeat-daemon >/dev/null 2>&1
    fi
    inside dpkg --unpack /root/first.deb >/dev/null 2>&1
    inside rm -rf /run/heartbeat-daemon-installation
    inside dpkg --configure -a >"$work/said" 2>&1 || fail "configure: $(cat "$work/said")"
    check "interrupted, a $what is finished" ours
    check '  it is enabled' enabled
    check '  and leaves no mark' eval '! inside test -e /var/lib/heartbeat-daemon-installation'
done
new_device configured https://server.test/heartbeat.php
shell "dpkg-deb -R /root/first.deb /root/killed
    echo 'kill -KILL \$PPID' >>/root/killed/DEBIAN/preinst
    dpkg-deb --root-owner-group -Zgzip -z1 -b /root/killed /root/killed.deb" >/dev/null
check 'dpkg is killed in its first script' eval '! quietly inside dpkg -i /root/killed.deb'
install '  another attempt' first.deb
check '  ends with the service running' ours
check '  and enabled' enabled
inside systemctl stop $service
inside dpkg-reconfigure heartbeat-daemon >"$work/said" 2>&1 || fail "dpkg-reconfigure: $(cat "$work/said")"
check 'configured again, a stopped service stays so' eval '! active'
# A secret that the service's group may read.
shell "echo '# secret' >>$config; chmod 640 $config; chgrp heartbeat-daemon $config"
inside /usr/lib/heartbeat-daemon/setup configure --user pi >"$work/said"
inside systemctl start $service
check 'another user can read the settings of the one before' ours
check '  and nobody else' [ "$(inside stat -c '%a %G' $config)" = '640 pi' ]
