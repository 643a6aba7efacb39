# Values of hardware that this board does not have, and of files that cannot be replaced for the daemon alone: heartbeat-hil and
# the daemon see files in the place of the kernel's, in a mount namespace, and the broken daemon others.

file_breaks() {
    step 'broken files are found'
    imagine_hardware
    imagined identity 'the serial of another board' in_place /run/broken/cpuinfo /proc/cpuinfo
    imagined temperature 'another temperature' in_place /run/broken/temperature /run/imagined/temperature
    imagined throttled 'a mask that was read as decimal' in_place /run/broken/throttled /run/imagined/throttled
    imagined fan 'the duty of the fan for its speed' in_place /run/broken/fan /sys/class/hwmon/hwmon0/fan1_input
    imagined disk 'another filesystem' /run/broken/other_root
    imagined clock 'a document from before' /run/broken/old_document
    rm /usr/bin/vcgencmd
}

imagine_hardware() {
    mkdir -p /run/imagined /run/broken
    { cat /proc/cpuinfo && printf 'Serial\t\t: 10000000a1b2c3d4\n'; } >/run/imagined/cpuinfo
    { cat /proc/cpuinfo && printf 'Serial\t\t: 10000000deadbeef\n'; } >/run/broken/cpuinfo
    echo "temp=48.8'C" >/run/imagined/temperature
    echo "temp=53.8'C" >/run/broken/temperature
    echo throttled=0x50005 >/run/imagined/throttled
    echo throttled=0xc355 >/run/broken/throttled
    echo 120 >/run/broken/fan
    cat >/usr/bin/vcgencmd <<'FIRMWARE'
#!/bin/sh
case $1 in
measure_temp) cat /run/imagined/temperature ;;
get_throttled) cat /run/imagined/throttled ;;
*)
    echo 'error=1 error_msg="Command not registered"'
    exit 255
    ;;
esac
FIRMWARE
    cat >/run/imagined/hardware <<'HARDWARE'
#!/bin/sh
exec unshare -m sh -c '
set -e
mount --bind /run/imagined/cpuinfo /proc/cpuinfo
mount -t tmpfs none /sys/class
mkdir -p /sys/class/thermal/thermal_zone0 /sys/class/hwmon/hwmon0 /sys/class/dmi
# What this board is called.
ln -s /sys/devices/virtual/dmi/id /sys/class/dmi/id
echo cpu-thermal >/sys/class/thermal/thermal_zone0/type
echo 48500 >/sys/class/thermal/thermal_zone0/temp
echo emc2301 >/sys/class/hwmon/hwmon0/name
echo 2510 >/sys/class/hwmon/hwmon0/fan1_input
exec "$@"' sh "$@"
HARDWARE
    # Whatever is asked about the root, this one is another filesystem.
    cat >/run/broken/other_root <<'ROOT'
#!/bin/sh
exec unshare -m sh -c '
set -e
mount -t tmpfs -o size=64m none /mnt
for entry in bin sbin lib lib64 usr etc proc sys dev run var tmp; do
    if [ -L /$entry ]; then
        cp -a /$entry /mnt/
    elif [ -d /$entry ]; then
        mkdir /mnt/$entry
        mount --rbind /$entry /mnt/$entry
    fi
done
exec chroot /mnt "$@"' sh "$@"
ROOT
    cat >/run/broken/old_document <<'OLD'
#!/bin/sh
case $* in
*sample*) cat /run/broken/document ;;
*) exec "$@" ;;
esac
OLD
    chmod +x /usr/bin/vcgencmd /run/imagined/hardware /run/broken/other_root /run/broken/old_document
    /run/imagined/hardware /usr/bin/heartbeat-daemon sample >/run/broken/document
}

# imagined CHECK HOW COMMAND...: with that hardware the check must pass, and it must fail if the daemon is run by the command.
imagined() {
    local name=$1
    judge_by='/run/imagined/hardware'
    $judge_by heartbeat-hil --require emulated-board --only "$name" >"$out/imagined-$name" 2>/dev/null ||
        fail "the check $name does not pass: $(cat "$out/imagined-$name")"
    broken "$@"
    judge_by=
}
