# As the document of the older service describes it: copy the program and the unit, enable, start.
by_hand() {
    configured https://server.test/heartbeat.php
    dpkg-deb --fsys-tarfile "$package" | tar -xO ./usr/bin/heartbeat-daemon >"$root/usr/local/bin/heartbeat-daemon"
    chmod 755 "$root/usr/local/bin/heartbeat-daemon"
    cp packaging/$service "$root/etc/systemd/system/"
}
new_device by_hand
inside systemctl daemon-reload
inside systemctl --quiet enable $service
inside systemctl start $service
check 'it runs with nothing but the program and the unit' ours
check 'not as root' [ "$(inside stat -c %u "/proc/$(property MainPID)")" != 0 ]
beat_arrives 'and sends'
check 'every user may ask for the status' quietly inside setpriv --reuid=other --clear-groups heartbeat-daemon status
install 'the package over it' first.deb
check 'it says what hides the packaged program' said "ATTENTION: the service runs /usr/local/bin/heartbeat-daemon"
check 'and the packaged unit' said "/etc/systemd/system/$service counts instead of the installed unit"
shell "rm /usr/local/bin/heartbeat-daemon; systemctl revert $service; systemctl restart $service"
check 'it runs the packaged program' [ "$(inside readlink "/proc/$(property MainPID)/exe")" = /usr/bin/heartbeat-daemon ]
beat_arrives 'and sends'
