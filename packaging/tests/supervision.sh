# systemd brings it back whenever it ends or stands still, but not with a configuration that cannot be used.
new_device configured https://server.test/heartbeat.php
install 'it installs' first.deb
old_pid=$(property MainPID)
shell "kill -9 $old_pid"
eventually 'it is brought back after kill -9' restarted
beat_arrives 'and sends'
inside mkdir -p /run/systemd/system/$service.d
shell "printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/$service.d/50-watchdog.conf"
inside systemctl daemon-reload
inside systemctl restart $service
old_pid=$(property MainPID)
# Longer than the watchdog waits.
sleep 5
check 'the watchdog leaves a healthy one alone' [ "$(property MainPID)" = "$old_pid" ]
shell "kill -STOP $old_pid"
eventually 'it is brought back after its main loop froze' restarted
beat_arrives 'and sends'
inside rm -r /run/systemd/system/$service.d
inside systemctl daemon-reload
inside systemctl restart $service
old_pid=$(property MainPID)
inside systemctl reload $service
check 'a reload keeps it running' [ "$(property MainPID)" = "$old_pid" ]
beat_arrives 'and sending'

logged() { inside journalctl --no-pager -q -u $service --since "@$outage" -g "$1"; }
outage=$(date +%s.%N)
ip -n "$name-server" link set eth0 down
eventually 'the journal says that heartbeats no longer arrive' logged 'not delivered'
eventually 'several have failed' eval '[ "$(failures)" -ge 3 ]'
check '  which is said in one line' [ "$(logged 'not delivered' | wc -l)" = 1 ]
check 'as a warning' [ "$(inside journalctl -q -u $service --since "@$outage" -p warning -g 'not delivered' | wc -l)" = 1 ]
ip -n "$name-server" link set eth0 up
eventually 'and that they do again' logged 'delivered again'
# The connection that stood has fallen silent; then none can be made: that is another cause, and one line more.
check 'one line for each, and for a change of cause' [ "$(inside journalctl -q -u $service --since "@$outage" | wc -l)" -le 3 ]
shown journalctl --no-pager -q -u $service --since "@$outage"

began=${EPOCHREALTIME/./}
inside systemctl stop $service
took=$(((${EPOCHREALTIME/./} - began) / 1000))
check "it stops within a second ($took ms)" [ $took -lt 1000 ]
check 'status says so' eval '! quietly inside heartbeat-daemon status'

shell "echo 'intervall = 5' >>$config"
inside systemctl start $service || true
eventually 'with a wrong configuration it fails' failed
check 'with status 78' [ "$(property ExecMainStatus)" = 78 ]
check 'and is not tried again' [ "$(property SubState)$(property NRestarts)" = failed0 ]
check 'systemctl status says where it is wrong' grep -q 'config.toml:[0-9]*: unknown key .intervall.' \
    <(inside systemctl --no-pager --full status $service || true)
shown systemctl --no-pager --full status $service

# Settings have one order, and what differs between the service and a command is said.
shell "sed -i '/intervall/d' $config; mkdir -p /run/systemd/system/$service.d
    printf '[Service]\nEnvironment=HEARTBEAT_INTERVAL=2\n' >/run/systemd/system/$service.d/50-environment.conf; systemctl daemon-reload"
inside systemctl restart $service
# Its exit status tells of values that are missing in a container; what it says is checked.
inside heartbeat-daemon doctor >"$work/said" 2>&1 || true
check 'doctor says what the service has from elsewhere' said 'the service has another interval: from environment variable HEARTBEAT_INTERVAL'
inside env HEARTBEAT_INTERVAL=3 heartbeat-daemon check-config >"$work/said" 2>&1 || true
check 'every command says where the environment overrides the file' said 'HEARTBEAT_INTERVAL in the environment overrides interval of'
inside rm -r /run/systemd/system/$service.d
inside systemctl daemon-reload

# Its authorities are missing for a moment, as while their package is upgraded.
inside mv /etc/ssl/certs /etc/ssl/away
inside systemctl restart $service || true
check 'without authorities it ends with status 1' [ "$(property ExecMainStatus)" = 1 ]
inside mv /etc/ssl/away /etc/ssl/certs
eventually 'with them it is tried again' ours
beat_arrives 'and sends'
