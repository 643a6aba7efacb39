# Read-only roots, and how much is written.
image() {
    configured https://server.test/heartbeat.php
    # As an image is built: systemd does not run.
    chroot "$root" dpkg -i /root/first.deb >"$work/said" 2>&1 || fail "in an image: $(cat "$work/said")"
    # Its first start is to be one with a read-only root.
    mkdir -p "$root/etc/systemd/system/$service.d"
    printf '[Unit]\nConditionPathExists=!/etc/writable\n' >"$root/etc/systemd/system/$service.d/condition.conf"
    touch "$root/etc/writable"
}
new_device image
check 'installed in an image, it is enabled' enabled
check 'and waits for the test' eval '! active'
inside rm -r /etc/writable /etc/systemd/system/$service.d
inside systemctl daemon-reload
eventually 'the root becomes read-only' inside mount -o remount,bind,ro /
inside systemctl start $service
beat_arrives 'it starts and sends with a read-only root'
check 'and publishes its status' quietly inside heartbeat-daemon status
check 'as the user of the installation' [ "$(inside stat -c %U "/proc/$(property MainPID)")" = heartbeat-daemon ]
inside mount -o remount,bind,rw /
inside systemctl restart $service
for _ in 1 2 3; do beat_arrives 'a heartbeat'; done
check 'nothing was written to the disk' grep -qx 'write_bytes: 0' <(inside cat "/proc/$(property MainPID)/io")
inside systemctl reboot || true
# systemd-nspawn leaves the second half of a reboot to its caller, and says so with this status.
status=0
wait "$nspawn" || status=$?
check 'the container asks to be booted again' [ $status = 133 ]
boot
eventually 'it runs after a reboot' ours
beat_arrives 'and sends'
