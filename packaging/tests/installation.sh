# An installation on a system that never had a heartbeat service.
new_device configured https://server.test/heartbeat.php
install 'it installs' first.deb
check 'it ends with the state of the service' said 'Active: active (running)'
check 'and with its log' said 'sending a heartbeat every 1 s to https://server.test/heartbeat.php'
check 'nothing needs attention' eval '! said ATTENTION'
check 'enabled' enabled
check 'it runs, not as root and not as pi' [ "$(property User)" = heartbeat-daemon ]
groups=$(shell "for id in \$(sed -n 's/^Groups://p' /proc/$(property MainPID)/status); do getent group \$id | cut -d: -f1; done | xargs")
check "with the groups of its sources and no others ($groups)" [ "$groups" = 'video heartbeat-daemon' ]
beat_arrives 'heartbeats arrive over TLS'
eventually 'systemctl status tells the last outcome' eval 'property StatusText | grep -q "^last heartbeat delivered in"'
shown systemctl --no-pager status $service
shown heartbeat-daemon status
check 'every user may ask for the status' quietly inside setpriv --reuid=other --clear-groups heartbeat-daemon status
check 'man page' inside test -s /usr/share/man/man1/heartbeat-daemon.1.gz
check 'dpkg knows of no configuration file' [ -z "$(inside dpkg-query -W -f '${Conffiles}' heartbeat-daemon)" ]
check 'the unit sets nothing above the configuration file' [ "$(property Environment)" = RUNTIME_DIRECTORY=/run/heartbeat-daemon ]
# 247 does not know some of the lines and says so.
if [ "$release" != bullseye ]; then
    check 'systemd-analyze verify is silent' [ -z "$(inside systemd-analyze verify --man=no $service 2>&1)" ]
fi
exposure=$(inside systemd-analyze security --no-pager $service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
check "exposure $exposure is at most 1.7" [ "${exposure/./}" -le 17 ]

new_device
install 'it installs without a configuration' first.deb
check 'and says in the file where all settings are' setting '/usr/share/heartbeat-daemon/config.toml'
check 'which are there' inside test -s /usr/share/heartbeat-daemon/config.toml
check 'and runs' ours
