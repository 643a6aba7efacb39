# Removal, and a purge that leaves nothing.
device() { old_service pi /home/pi/flask_app; }
new_device device
before=$(inventory)
install 'over the older service' first.deb
beat_arrives 'it sends'
inside dpkg -r heartbeat-daemon >/dev/null 2>&1
check 'removed, it is stopped' eval '! active'
check 'and keeps its configuration' setting '^url'
inside dpkg -P heartbeat-daemon >"$work/said" 2>&1 || fail "purge: $(cat "$work/said")"
left=$(diff <(echo "$before") <(inventory) || true)
check 'purged, nothing is left but the old unit, which was moved' \
    [ "$(grep '^[<>]' <<<"$left" | sort)" = "< /etc/systemd/system/$service
< /etc/systemd/system/multi-user.target.wants/$service
> /etc/systemd/system/$service.replaced" ]
check 'and says where that is' said "what was here before is still in /etc/systemd/system/$service.replaced"

# A group with another member outlives a user, but no purge.
install 'installed again' first.deb
inside usermod --append --groups heartbeat-daemon other
inside dpkg -P heartbeat-daemon >"$work/said" 2>&1 || fail "purge: $(cat "$work/said")"
check 'purged, the group is gone although it had another member' eval '! inside getent group heartbeat-daemon'
inside groupadd --system heartbeat-daemon
install 'an installation where the group is there already' first.deb
check '  works' ours
inside dpkg -P heartbeat-daemon >/dev/null 2>&1
inside useradd --system heartbeat-daemon
install 'an installation where somebody has made the user' first.deb
inside dpkg -P heartbeat-daemon >/dev/null 2>&1
check '  leaves that user with a purge' quietly inside getent passwd heartbeat-daemon

# An updater has brought the old service back, and ours is removed.
inside dpkg -i /root/first.deb >/dev/null 2>&1
shell "cp /etc/systemd/system/$service.replaced /etc/systemd/system/$service
    systemctl daemon-reload; systemctl enable --quiet $service; systemctl restart $service"
inside dpkg -P heartbeat-daemon >/dev/null 2>&1
check 'a removal leaves the service of somebody else running' old_runs
check 'and enabled' enabled
