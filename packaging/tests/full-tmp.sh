# A card that fails leaves a /tmp that is full or read-only. systemd's PrivateDevices= would need it to start a service.
new_device configured https://server.test/heartbeat.php
install 'it installs' first.deb
shell 'bash -c "exec -a ffmpeg sleep 1000" & echo $! >/run/relay' >/dev/null 2>&1

# starts WHEN: the service starts, sends, and sees the application's pidfile.
starts() {
    inside systemctl restart $service || fail "it starts with $1"
    beat_arrives "it starts and sends with $1"
    eventually 'and sees a pidfile there' last_has '"streaming_active":true'
    check 'and no other devices' [ "$(inside ls "/proc/$(property MainPID)/root/dev" | tr '\n' ' ')" = 'null random urandom zero ' ]
}

cannot_write_tmp() { ! quietly shell "echo x >$1/x && mkdir $1/y"; }

inside mount -t tmpfs -o size=64k,nr_inodes=32 tmpfs /tmp
inside cp /run/relay /tmp/relay-ffmpeg-webcam.pid
shell 'dd if=/dev/zero of=/tmp/fill bs=4k; n=0; while mkdir /tmp/$n; do n=$((n + 1)); done' >/dev/null 2>&1 || true
check '/tmp is full' cannot_write_tmp /tmp
starts 'a full /tmp'
inside rm -r /tmp/fill
inside mount -o remount,ro /tmp
check '/tmp is read-only' cannot_write_tmp /tmp
starts 'a read-only /tmp'
inside mount --bind /var/tmp /var/tmp
inside mount -o remount,bind,ro /var/tmp
check '/var/tmp is read-only' cannot_write_tmp /var/tmp
starts 'a read-only /var/tmp, too'
