//! All values together: where each looks, what to do about its absence, and what a person reads of it.

use std::{fmt::Write, fs, path::Path};

use heartbeat_core::{readings::*, time::Duration, units::*};

use super::{scene::Scene, *};
use crate::{
    config::{UpsChip, UpsConfig, VersionSource},
    sources::firmware::Gencmd,
};

/// The firmware of a board.
struct Firmware;

impl Gencmd for Firmware {
    fn place(&self) -> String {
        "firmware".to_owned()
    }

    fn ask(&mut self, _: &Sysroot, command: &str) -> Result<String, SensorError> {
        Ok(match command {
            "measure_temp" => "temp=61.3'C",
            "get_throttled" => "throttled=0x50000",
            "measure_clock arm" => "frequency(48)=1500398464",
            "pmic_read_adc" => " A_A current(0)=1.5A\n A_V volt(1)=2.0V\n",
            _ => return Err(SensorError::Absent),
        }
        .to_owned())
    }
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("created");
    fs::write(path, content).expect("written");
}

/// A board with something for each value.
fn board() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, content) in [
        ("proc/cpuinfo", "Serial\t\t: 10000000a1b2c3d4\n"),
        ("proc/stat", "cpu 100 0 0 300 0 0 0 0\n"),
        ("proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n"),
        ("proc/uptime", "3600.12 14000.50\n"),
        ("proc/loadavg", "0.52 0.58 0.59 1/467 12345\n"),
        ("proc/swaps", "Filename Type Size Used Priority\n/var/swap file 200 50 -2\n"),
        ("proc/self/mountinfo", "22 1 179:2 / / rw - ext4 /dev/root rw\n"),
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("proc/4711/stat", "4711 (ffmpeg) S 1"),
        ("proc/net/route", "usb0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n"),
        ("proc/net/wireless", " wlan0: 0000 59. -51. -256 0\n"),
        ("tmp/relay-ffmpeg-webcam.pid", "4711\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "600000\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48774\n"),
        ("sys/class/thermal/thermal_zone1/type", "gpu-thermal\n"),
        ("sys/class/hwmon/hwmon2/name", "pwmfan\n"),
        ("sys/class/hwmon/hwmon2/fan1_input", "2800\n"),
        ("sys/class/hwmon/hwmon3/name", "ina226\n"),
        ("sys/class/hwmon/hwmon3/power1_input", "4575000\n"),
        ("sys/class/hwmon/hwmon3/in1_input", "5084\n"),
        ("sys/class/power_supply/b/type", "Battery\n"),
        ("sys/class/power_supply/b/status", "Discharging\n"),
        ("sys/class/power_supply/b/power_now", "5300000\n"),
        ("sys/class/power_supply/b/capacity", "72\n"),
        ("sys/class/net/eth0/type", "1\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/device/uevent", "DRIVER=bcmgenet\n"),
        ("sys/class/net/usb0/type", "1\n"),
        ("sys/class/net/usb0/operstate", "up\n"),
        ("sys/class/net/usb0/device/uevent", "DRIVER=cdc_ether\n"),
        ("sys/class/net/wlan0/device/uevent", "DRIVER=brcmfmac\n"),
        ("sys/class/net/wlan0/type", "1\n"),
        ("sys/class/net/wlan0/operstate", "up\n"),
        ("sys/class/net/wlan0/uevent", "DEVTYPE=wlan\n"),
        ("sys/class/net/wlan0/phy80211/name", "phy0\n"),
        ("iw/wlan0/info", "Interface wlan0\n\tssid depot\n\ttype managed\n"),
        ("iw/wlan0/stations", "Station 02:00:00:00:00:02 (on wlan0)\n\tsignal: -61 dBm\n"),
        (
            "ip/address",
            r#"[{"ifname":"eth0","addr_info":[{"local":"192.0.2.7"}]},{"ifname":"wlan0","addr_info":[{"local":"192.0.2.8"}]},
            {"ifname":"usb0","addr_info":[{"local":"192.0.2.9"}]}]"#,
        ),
        ("mmcli/list", r#"{"modem-list":["/Modem/0"]}"#),
        (
            "mmcli/0",
            r#"{"modem":{"3gpp":{"operator-name":"Example"},"generic":{"ports":["usb0 (net)"],"state":"connected",
            "access-technologies":["lte"],"signal-quality":{"recent":"yes","value":"61"}}}}"#,
        ),
        (
            "gpsd/poll",
            "{\"class\":\"POLL\",\"active\":1,\"tpv\":[{\"mode\":3,\"lat\":1.0,\"lon\":1.0}],\"sky\":[{\"uSat\":5}]}\n",
        ),
    ] {
        write(dir.path(), path, content);
    }
    dir
}

fn scene(dir: &Path) -> Scene {
    Scene::new(Sysroot::new(dir).expect("opened"), |_| vec![Box::new(Firmware)])
}

/// What each candidate of each value says, a line for each. What belongs to this machine is left out.
fn explained(scene: &mut Scene) -> String {
    let mut text = String::new();
    for value in 0..scene.hal.values().len() {
        for candidate in 0..scene.hal.values()[value].candidates() {
            let asked = clock::now();
            let finding = loop {
                let found = scene.hal.values()[value].explain(candidate, asked, clock::now());
                if let Poll::Ready(finding) = found {
                    break finding;
                }
                let due = scene.hal.dispatch().unwrap_or(clock::now() + Duration::from_secs(60));
                scene.sleeper.sleep_until(due).expect("slept");
            };
            let name = scene.hal.values()[value].name();
            let said = match finding.outcome {
                Ok(_) if matches!(name, "disk" | "timestamp") => "this machine's".to_owned(),
                Ok(said) => said,
                Err(problem) => format!("{problem:?}"),
            };
            writeln!(text, "{name}: {} -> {said}", finding.place).expect("written");
        }
    }
    text
}

#[test]
fn each_candidate_of_each_value_says_what_its_place_holds() {
    let dir = board();
    assert_eq!(explained(&mut scene(dir.path())), CANDIDATES.trim_start());
}

#[test]
fn settings_give_a_value_other_candidates() {
    let dir = board();
    write(dir.path(), "opt/version", "2026-11-01\n");
    let mut scene = scene(dir.path());
    let mut settings = scene.settings();
    settings.hardware_id = Some("lobby-camera".to_owned());
    settings.app_version = VersionSource::File("/opt/version".into());
    settings.app_tmp = "/run/app".into();
    settings.ups = Some(UpsConfig {
        bus: 250,
        chip: UpsChip::Ina219 {
            address: 0x42,
            shunt_uohm: 100_000,
            positive_charges: true,
            empty: Volts::from_raw(600),
            full: Volts::from_raw(840),
        },
    });
    scene.hal.reconfigure(&settings);
    let text = explained(&mut scene);
    for value in scene.hal.values().iter().filter(|value| matches!(value.name(), "power" | "ups")) {
        let advice = value.advice(Problem::Failed(SensorError::Absent));
        assert_eq!(advice, Some(ups::IS_IT_ON), "{}", value.name());
    }
    for line in [
        "hardwareid: the configuration -> lobby-camera",
        "app_version: /opt/version -> 2026-11-01",
        "activity: /run/app/*.pid -> nothing",
        "power: /dev/i2c-250 INA219 at 0x42 -> Failed(Absent)",
        "ups: /dev/i2c-250 INA219 at 0x42 -> Failed(Absent)",
        "ups: /sys/class/power_supply/b -> 72.0 %",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn each_value_says_what_to_do_about_its_absence() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut scene = scene(dir.path());
    let problems = [
        ("not configured", Problem::NotConfigured),
        ("silent", Problem::Silent),
        ("absent", Problem::Failed(SensorError::Absent)),
        ("denied", Problem::Failed(SensorError::Denied)),
        ("failed", Problem::Failed(SensorError::Io)),
        ("invalid", Problem::Failed(SensorError::Invalid)),
    ];
    let mut text = String::new();
    for value in scene.hal.values() {
        for (word, problem) in problems {
            if let Some(advice) = value.advice(problem) {
                writeln!(text, "{} {word}: {advice}", value.name()).expect("written");
            }
        }
    }
    assert_eq!(text, ADVICE.trim_start());
}

#[test]
fn readings_are_shown_to_people() {
    let wifi = Wifi {
        interface: "wlan0".into(),
        ip: Some("192.0.2.8".into()),
        mode: Some(WifiMode::Hotspot),
        ssid: Some("depot".into()),
        signal_dbm: Some(Dbm(-51)),
        signal_percent: None,
        clients: Some(3),
    };
    assert_eq!(
        wifi::Sensor::show(&wifi),
        "wlan0, 192.0.2.8, hotspot, -51 dBm, 3 clients",
        "without its name"
    );
    let ups = Ups { voltage: Some(Volts::from_raw(384)), percent: Some(Percent::from_raw(720)) };
    assert_eq!(ups::Sensor::show(&ups), "3.84 V, 72.0 %");
    let times = CpuTimes { busy: 1, total: 4 };
    assert_eq!(cpu::Sensor::show(&times), "25.0 % since boot");
    assert_eq!(cpu::Sensor::show(&CpuTimes::default()), "no time has passed");
    let space = DiskSpace { total: 32 << 30, used: 8 << 30, available: 24 << 30 };
    assert_eq!(disk::Sensor::show(&space), "25.0 % of 32.0 GiB");
    let none = DiskSpace { total: 0, used: 0, available: 0 };
    assert_eq!(disk::Sensor::show(&none), "a filesystem without any space");
    assert_eq!(timestamp::Sensor::show(&UnixTime::from_millis(1_500)), "1.500");
    assert_eq!(power::Sensor::show(&Watts::from_raw(458)), "4.58 W");
}

const CANDIDATES: &str = "
hardwareid: Serial in /proc/cpuinfo -> 10000000a1b2c3d4
timestamp: the system's clock -> this machine's
cpu: /proc/stat -> 25.0 % since boot
mem: /proc/meminfo -> 1000 of 2000 MiB available
temp: firmware measure_temp -> 61.3 °C
temp: /sys/class/thermal/thermal_zone0/temp -> 48.8 °C
temp: /sys/class/hwmon/hwmon*/temp*_input of the processor -> Failed(Absent)
temp: /sys/class/thermal/thermal_zone*/temp -> Failed(Absent)
power: /sys/class/hwmon/hwmon3/power1_input -> 4.58 W
power: /sys/class/power_supply/*/power_now, or voltage_now and current_now -> 5.30 W
power: firmware pmic_read_adc -> 3.00 W
fan_rpm: /sys/class/hwmon/hwmon2/fan1_input -> 2800 rpm
disk: statvfs / -> this machine's
default_interface: /proc/net/route -> usb0
ethernet: /sys/class/net, /mmcli -> eth0, 192.0.2.7
ethernet: /sys/class/net -> usb0, 192.0.2.9
wifi: /sys/class/net, nl80211 -> wlan0, 192.0.2.8, client, -61 dBm
wifi: /sys/class/net, /proc/net/wireless -> wlan0, 192.0.2.8, -51 dBm
wifi: /sys/class/net -> wlan0, 192.0.2.8
4g: /mmcli, /sys/class/net -> usb0, 192.0.2.9, connected, Example, lte, signal 61 %
4g: /sys/class/net -> Failed(Absent)
gps: gpsd at 127.0.0.1:2947 -> 3D fix, 5 satellites
gps: /tmp/gps_daemon.sock -> Failed(Absent)
gps: gpsd at 127.0.0.1:2947 -> 3D fix, 5 satellites
gps: /tmp/gps_daemon.sock -> Failed(Absent)
activity: /tmp/*.pid -> streaming
uptime_s: /proc/uptime -> 3600 s
throttled: firmware get_throttled -> 0x50000: since boot under-voltage, throttled
cpu_mhz: firmware measure_clock arm -> 1500 MHz
cpu_mhz: /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq -> 600 MHz
ups: /sys/class/power_supply/b -> 72.0 %
system: /proc/loadavg, /proc/swaps, /proc/self/mountinfo -> load 0.52, swap 25.0 %, root writable
board: /proc/device-tree/model -> Raspberry Pi 4 Model B Rev 1.4
";

const ADVICE: &str = "
hardwareid absent: set hardware_id
timestamp not configured: the clock has not been set: is there a network, and timedatectl set-ntp true?
timestamp silent: the clock has not been set: is there a network, and timedatectl set-ntp true?
timestamp absent: the clock has not been set: is there a network, and timedatectl set-ntp true?
timestamp denied: the clock has not been set: is there a network, and timedatectl set-ntp true?
timestamp failed: the clock has not been set: is there a network, and timedatectl set-ntp true?
timestamp invalid: the clock has not been set: is there a network, and timedatectl set-ntp true?
temp silent: the firmware or a bus hangs: heartbeats go on without it; a reboot helps
temp absent: nothing to do: this machine has no sensor that the kernel knows
power silent: the firmware or a bus hangs: heartbeats go on without it; a reboot helps
power absent: nothing to do, unless the board stands on a supply with a battery: set ups.preset
fan_rpm absent: nothing to do: no fan with a tachometer
fan_rpm invalid: does the fan turn? Its controller reports a fault
disk silent: a mount hangs: see mount, and unmount what does not answer
ethernet absent: nothing to do: no wired interface that is in use
wifi absent: nothing to do: no wireless interface that is in use
4g silent: ModemManager hangs: systemctl restart ModemManager
4g absent: install ModemManager if there is a modem: apt-get install modemmanager
gps absent: neither gpsd nor the streaming application's GPS daemon runs; start one if there is a receiver
app_version not configured: set app_version, app_version_file or app_dir
app_version absent: is the configured path right?
throttled silent: the firmware or a bus hangs: heartbeats go on without it; a reboot helps
throttled absent: nothing to do: only the firmware of a Raspberry Pi knows it
cpu_mhz silent: the firmware or a bus hangs: heartbeats go on without it; a reboot helps
cpu_mhz absent: nothing to do: this kernel does not control the frequency
ups absent: nothing to do, unless the board stands on a supply with a battery: set ups.preset
";
