# A modem is asked through the program of ModemManager, which reaches D-Bus from within the sandbox.

# within COMMAND...: runs it as the service, in its sandbox; what it says is in $work/said.
within() {
    shell "mkdir -p /run/systemd/system/$service.d; cat >/run/systemd/system/$service.d/50-within.conf" <<UNIT
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=$*
StandardOutput=append:/run/within.out
StandardError=inherit
UNIT
    inside rm -f /run/within.out
    inside systemctl daemon-reload
    inside systemctl restart $service || true
    inside cat /run/within.out >"$work/said"
}

new_device configured https://server.test/heartbeat.php
install 'it installs' first.deb
# It does not start in containers, which have no devices, unless it is told to.
shell "mkdir -p /run/systemd/system/ModemManager.service.d; cat >/run/systemd/system/ModemManager.service.d/50-test.conf" <<'UNIT'
[Unit]
ConditionVirtualization=
[Service]
ExecStart=
ExecStart=/usr/sbin/ModemManager --test-no-udev
UNIT
inside systemctl daemon-reload
check 'ModemManager starts' inside systemctl start ModemManager.service
check 'root can ask it' inside mmcli -L
within /usr/bin/mmcli -L
check 'from within the sandbox, too' said '^No modems were found$'
within /usr/bin/heartbeat-daemon doctor
check 'the service knows the answer' said 'ModemManager runs and knows no modem'
shown cat /run/within.out
inside systemctl stop ModemManager.service
within /usr/bin/heartbeat-daemon doctor
check 'and when there is none' said 'ModemManager does not run'
if [ "$release" != bullseye ]; then
    # 247 knows no NoExecPaths=.
    shell "mv /usr/bin/mmcli /usr/bin/mmcli.real; printf '#!/bin/sh\\n: >/run/heartbeat-daemon/ran\\n' >/usr/bin/mmcli; chmod 755 /usr/bin/mmcli"
    within /usr/bin/heartbeat-daemon doctor
    check 'a script in its place does not run' eval 'said "permission denied" && ! inside test -e /run/heartbeat-daemon/ran'
    shown cat /run/within.out
fi
