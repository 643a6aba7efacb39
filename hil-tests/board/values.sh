# The installed packages, judged by heartbeat-hil, and hardware that comes and goes.

install() {
    step 'installation'
    start_receiver
    mkdir -p /etc/heartbeat-daemon /etc/systemd/system/$service.d
    # The kernel gives a device of CUSE another number than its I2C buses. The emulated processor is as slow as its host is busy.
    # heartbeat-hil has drop-ins with later names, which must win.
    printf '[Service]\nDeviceAllow=/dev/i2c-1 rw\nTimeoutStartSec=300\nWatchdogSec=300\nCPUQuota=\n' \
        >/etc/systemd/system/$service.d/10-emulated-board.conf
    dpkg -i $here/heartbeat-daemon.deb $here/heartbeat-hil.deb >$out/dpkg 2>&1 || fail "dpkg: $(tail -n 5 $out/dpkg)"
    cat >>$config <<'CONFIG'
url = "http://127.0.0.1:8080/"
interval = 2
[backlog]
beats = 200
file = "/var/lib/heartbeat-daemon/backlog"
[ups]
preset = "waveshare-3s"
CONFIG
    restart
    beats_arrive 'heartbeats arrive'
    eventually 'with the INA219' last_has '"power":4\.79.*"ups":\{"voltage":11\.98'
}

modem_on() {
    eventually 'ModemManager knows a modem' modem_is_known
    # Fails if the modem is enabled already; what it reports is judged.
    mmcli -m any -e >/dev/null 2>&1 || true
    eventually 'which is registered' modem_is_registered
}

judge() {
    step 'heartbeat-hil judges'
    modem_on
    # Between heartbeats the board should be idle.
    sed -i 's/^interval = 2$/interval = 10/' $config
    restart
    heartbeat-hil --require emulated-board --step-clock --output $out || again
    sed -i 's/^interval = 10$/interval = 2/' $config
    restart
    beats_arrive 'the judged service sends again'
}

# again: judges what failed until it passes, because a busy host can make this board too slow for a deadline of the daemon. What
# is wrong fails again each time.
again() {
    local name names
    names=$(sed -n 's/^FAILED   \([^:]*\):.*/\1/p' $out/report.txt)
    [ -n "$names" ] || fail 'heartbeat-hil failed, and no check did'
    for name in $names; do
        eventually "$name passes when judged again" passes "$name"
    done
}
passes() { heartbeat-hil --require emulated-board --step-clock --only "$1" --output "$(mktemp -d "$out/again-$1.XXXXXX")"; }

supply() {
    step 'a supply'
    put $chips '{}'
    eventually 'unplugged, the INA219 is null in the heartbeats' last_has '"power":null.*"ups":null'
    put $chips "$battery"
    eventually 'plugged in again, it is back' last_has '"power":4\.79.*"ups":\{"voltage":11\.98'
    put $chips '{"ina219": {"address": 65, "mv": 11980, "shunt_10uv": -400, "converting": true}}'
    eventually 'before its first measurement it is null' last_has '"power":null.*"ups":null'
    put $chips "$battery"
    eventually 'after it, it is back' last_has '"power":4\.79'
    put $chips '{"ina219": {"address": 65, "mv": 11980, "shunt_10uv": -400, "error": "EIO"}}'
    eventually 'with a broken transfer it is null' last_has '"power":null.*"ups":null'
    put $chips "$battery"
    eventually 'and back' last_has '"power":4\.79'
    local before
    put $chips '{"ina219": {"address": 65, "mv": 11980, "shunt_10uv": -400, "hang": true}}'
    before=$(beats)
    eventually 'while it holds the bus, it is null' last_has '"power":null.*"ups":null'
    eventually 'and ten heartbeats arrive meanwhile' more_beats_than $((before + 10))
    put $chips "$battery"
    eventually 'and it is back' last_has '"power":4\.79'
    sed -i 's/waveshare-3s/x120x/' $config
    put $chips '{"max17040": {"mv": 3900, "percent": 80.5}}'
    restart
    eventually 'another supply: a MAX17040' last_has '"ups":\{"voltage":3\.90,"percent":80\.5'
    check 'as i2ctransfer says' heartbeat-hil --only supply
    put $chips '{}'
    eventually 'unplugged, it is null' last_has '"ups":null'
    put $chips '{"max17040": {"mv": 3900, "percent": 80.5}}'
    eventually 'plugged in again, it is back' last_has '"ups":\{"voltage":3\.90'
    sed -i 's/x120x/waveshare-3s/' $config
    put $chips "$battery"
    restart
    eventually 'the INA219 again' last_has '"power":4\.79'
}

gps_fix() {
    step 'a position'
    eventually 'gpsd has a fix' last_has '"gps":\{"fix":"3d","latitude":48\.1173000,"longitude":11\.5166667'
    put $position '{"fix": false}'
    eventually 'without a fix there is no place' last_has '"gps":\{"fix":"none","latitude":null,"longitude":null'
    put $position '{"fix": true}'
    eventually 'with one it is back' last_has '"gps":\{"fix":"3d","latitude":48\.1173000'
}

mobile_network() {
    step 'a modem'
    eventually 'the heartbeats tell it' last_has '"4g":\{"interface":null,"ip":null,"state":"registered","operator":"Heartbeat Mobile","technology":"lte","signal_percent":80\}'
    put $network '{"registered": false, "signal": 99}'
    eventually 'without a network it searches' last_has '"4g":\{[^}]*"state":"(searching|enabled)","operator":null'
    put $network '{"registered": true, "signal": 25}'
    # ModemManager tells the signal again only later.
    eventually 'with one it is registered again' last_has '"4g":\{[^}]*"state":"registered","operator":"Heartbeat Mobile","technology":"lte"'
}

radio() {
    step 'a hotspot, and a bad network'
    hotspot
    eventually 'the hotspot is in the heartbeats' last_has '"mode":"hotspot","ssid":"Hotspot".*"clients":1'
    check 'as iw says' heartbeat-hil --only wifi
    tc qdisc add dev lo root netem delay 150ms loss 5%
    beats_arrive 'heartbeats arrive through a delay of 300 ms and 5 % loss'
    tc qdisc del dev lo root
}
