# The hardware of the emulated board.

hardware() {
    step 'hardware'
    modprobe -a cuse sch_netem ftdi_sio softdog
    modprobe mac80211_hwsim radios=2
    # From the next start on before the service, as a driver that is built into the kernel of a board. This board has no serial and
    # no card: while its address is not there, it is another board for the service.
    echo virtio_net >/etc/modules-load.d/emulated-board.conf
    ip link set lo up
    ip link set eth0 up
    ip address add 192.0.2.2/24 dev eth0
    ip route add default via 192.0.2.1
    bus
    gps
    wifi_client
    modem
}

bus() {
    put $chips "$battery"
    systemd-run --quiet --collect --unit=i2c $here/i2c_bus.py 1 $chips
    getent group i2c >/dev/null || groupadd --system i2c
    eventually 'an I2C bus' test -c /dev/i2c-1
    chgrp i2c /dev/i2c-1
    chmod 660 /dev/i2c-1
    check 'an INA219 answers on it' register_is 0x41 0x02 '0x5d 0x9a'
    check 'no chip answers at another address' not i2ctransfer -y 1 w1@0x42 0x02 r2
}

# register_is ADDRESS REGISTER BYTES
register_is() { [ "$(i2ctransfer -y 1 w1@"$1" "$2" r2)" = "$3" ]; }
not() { ! "$@" 2>/dev/null; }

gps() {
    put $position '{"fix": true}'
    systemd-run --quiet --collect --unit=gps $here/gps.py /run/gps $position
    eventually 'a GPS receiver' test -L /run/gps
    systemd-run --quiet --collect --unit=gpsd-of-the-board /usr/sbin/gpsd -N -n "$(readlink -f /run/gps)"
}

# The second radio is in a network namespace of its own: the other end.
wifi_client() {
    ip netns add other
    iw phy "$(cat /sys/class/net/wlan1/phy80211/name)" set netns name other
    printf 'interface=wlan1\nssid=Fleet here\nhw_mode=g\nchannel=1\n' >/run/other.conf
    printf 'network={\n ssid="Fleet here"\n key_mgmt=NONE\n}\n' >/run/client.conf
    systemd-run --quiet --collect --unit=other-hotspot ip netns exec other hostapd /run/other.conf
    systemd-run --quiet --collect --unit=client wpa_supplicant -i wlan0 -c /run/client.conf
    ip link set wlan0 up
    eventually 'a WiFi client is associated' is_associated
    ip address add 192.0.2.66/26 dev wlan0
}
is_associated() { iw dev wlan0 link | grep 'SSID: Fleet here' >/dev/null; }

hotspot() {
    systemctl stop client other-hotspot
    printf 'interface=wlan0\nssid=Hotspot\nhw_mode=g\nchannel=6\n' >/run/hotspot.conf
    printf 'network={\n ssid="Hotspot"\n key_mgmt=NONE\n}\n' >/run/station.conf
    systemd-run --quiet --collect --unit=hotspot hostapd /run/hotspot.conf
    systemd-run --quiet --collect --unit=station ip netns exec other wpa_supplicant -i wlan1 -c /run/station.conf
    eventually 'a hotspot has a client' has_station
}
has_station() { iw dev wlan0 station dump | grep Station >/dev/null; }

# A modem on a serial line; ModemManager takes such only if it is told to.
modem() {
    cat >/etc/udev/rules.d/99-modem.rules <<'RULE'
ACTION!="remove", SUBSYSTEM=="tty", KERNEL=="ttyUSB0", ENV{ID_MM_DEVICE_PROCESS}="1", ENV{ID_MM_PORT_TYPE_AT_PRIMARY}="1"
RULE
    udevadm control --reload
    udevadm trigger --action=change --subsystem-match=tty
    udevadm settle
    systemctl start ModemManager
}
modem_is_known() { mmcli -m any -J | grep '"state"' >/dev/null; }
modem_is_registered() { mmcli -m any -J | grep -E '"state":"(registered|connected)"' >/dev/null; }
