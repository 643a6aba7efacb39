# What it sees of the streaming application, which runs as another user.
device() {
    configured https://server.test/heartbeat.php
    mkdir -p "$root/home/pi/streamer"
    echo 2.0 >"$root/home/pi/streamer/version"
    chmod 700 "$root/home/pi"
    echo 'app_version_file = "/home/pi/streamer/version"' >>"$root$config"
}
new_device device
install 'it installs' first.deb
shell 'bash -c "exec -a ffmpeg sleep 1000" & echo $! >/tmp/relay-ffmpeg-webcam.pid
    echo "$(cat /tmp/relay-ffmpeg-webcam.pid):/tmp/film.mp4" >/tmp/relay-ffmpeg-record-webcam.pid
    head -c 1048576 /dev/zero >/tmp/film.mp4' >/dev/null 2>&1
eventually 'its pidfiles in /tmp are seen' last_has '"streaming_active":true'
check 'and its recording there' last_has '"recording_file_size_mb":1.00,"recording_file_path":"/tmp/film.mp4"'
shell 'kill "$(cat /tmp/relay-ffmpeg-webcam.pid)"'
eventually 'and its end' last_has '"streaming_active":false'
inside python3 -c '
import os, socket
server = socket.socket(socket.AF_UNIX); server.bind("/tmp/gps_daemon.sock"); os.chmod("/tmp/gps_daemon.sock", 0o666); server.listen(9)
while True:
    client, _ = server.accept(); client.recv(99)
    client.sendall(b"{\"fix_status\": \"valid\", \"latitude\": 51.5, \"longitude\": -0.1, \"fix_type\": \"2D\", \"satellites\": {\"used\": 7}}")
    client.close()' >/dev/null 2>&1 &
# An absent source is asked for again after a minute; a start asks at once.
eventually 'its GPS daemon listens' inside test -S /tmp/gps_daemon.sock
inside systemctl restart $service
eventually 'its GPS daemon is asked' last_has '"latitude":51.5'
check 'its files in a home are not seen' last_has '"app_version":null'
inside /usr/lib/heartbeat-daemon/setup configure --show /home/pi/streamer >"$work/said"
inside systemctl restart $service
eventually 'until they are shown' last_has '"app_version":"2.0"'
check 'nothing else in that home is' [ "$(inside ls "/proc/$(property MainPID)/root/home/pi")" = streamer ]
check 'they are read-only' eval '! inside touch "/proc/$(property MainPID)/root/home/pi/streamer/x" 2>/dev/null'

# A pidfile of one user names a file in the home of another, which is closed.
shell 'rm /tmp/relay-ffmpeg-record-webcam.pid; head -c 1048576 /dev/zero >/home/pi/streamer/film
    chown pi /home/pi/streamer/film; chmod 644 /home/pi/streamer/film'
record_as() {
    shell "rm -f /tmp/relay-ffmpeg-record-webcam.pid
        setpriv --reuid=$1 --clear-groups sh -c 'echo 1:/home/pi/streamer/film >/tmp/relay-ffmpeg-record-webcam.pid'"
}
record_as other
eventually 'a recording that another user names is reported' last_has '"recording_file_path":"/home/pi/streamer/film"'
check 'without its size' last_has '"recording_file_size_mb":null'
record_as pi
eventually 'with it, if its owner does' last_has '"recording_file_size_mb":1.00,"recording_file_path":"/home/pi/streamer/film"'

# PID 1 makes no directories where the service's user can put a link.
shell "su -s /bin/sh heartbeat-daemon -c 'cd /run/heartbeat-daemon && ln -s /etc/made-by-root host-tmp && ln -s /etc/made-by-root tmp'"
old_pid=$(property MainPID)
shell "kill -9 $old_pid"
eventually 'with links in its own directory it is brought back' restarted
check 'and root has made nothing elsewhere' eval '! inside test -e /etc/made-by-root'
check 'only root can move its directory' eval '! inside su -s /bin/sh heartbeat-daemon -c "mv /run/heartbeat-daemon /run/x"'
