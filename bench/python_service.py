"""A heartbeat in the way of the service that the daemon replaces: psutil, requests, helper programs.

    python_service.py URL INTERVAL_SECONDS CA_FILE

It is written for this benchmark after that service's documented behaviour: each beat runs on a thread of its own, samples with
psutil and eleven helper programs, and posts with `requests.post`, which makes a new connection.
"""

import json
import os
import subprocess
import sys
import threading
import time

import psutil
import requests


def run(*command: str) -> str:
    """What a helper program prints, or an empty text."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def temperature() -> str:
    return run("vcgencmd", "measure_temp").removeprefix("temp=").replace("'", "°")


def power() -> str:
    readings = {}
    for line in run("vcgencmd", "pmic_read_adc").splitlines():
        name, _, value = line.strip().partition("=")
        rail, _, kind = name.split(" ")[0].rpartition("_")
        readings.setdefault(rail, {})[kind] = float(value[:-1])
    return f"{sum(rail['A'] * rail['V'] for rail in readings.values() if len(rail) == 2):.2f} W"


def fan() -> str:
    for directory in ("/sys/devices/platform/cooling_fan/hwmon",):
        if os.path.isdir(directory):
            for monitor in os.listdir(directory):
                with open(f"{directory}/{monitor}/fan1_input") as file:
                    return f"{file.read().strip()} RPM"
    return "No fan?"


def connection() -> dict:
    routes = run("ip", "route", "show", "default")
    active = run("nmcli", "-t", "-f", "NAME,DEVICE", "connection", "show", "--active")
    signal = run("nmcli", "-t", "-f", "ACTIVE,SSID,SIGNAL", "dev", "wifi").split(":")[-1]
    info = run("iw", "dev", "wlan0", "info")
    stations = run("iw", "dev", "wlan0", "station", "dump").count("Station ")
    modems = json.loads(run("mmcli", "-L", "--output-json") or '{"modem-list":[]}')["modem-list"]
    modem = json.loads(run("mmcli", "-m", modems[0], "--output-json") or "{}") if modems else {}
    generic = modem.get("modem", {}).get("generic", {})
    addresses = [
        {"interface": name, "ip": address.address}
        for name, known in psutil.net_if_addrs().items()
        for address in known
        if address.family == 2 and not address.address.startswith("127.")
    ]
    return {
        "ethernet": "Connected" if ":eth" in active else "Disconnected",
        "wifi": f"Connected ({run('iwgetid', 'wlan0', '-r')}) - {signal}%",
        "wifi_status": {"mode": "hotspot" if "AP" in info else "client", "client_count": stations},
        "ip_addresses": addresses,
        "active_connections": [line.split()[4] for line in routes.splitlines() if line],
        "4g": f"{generic.get('state', 'No device')} - {generic.get('signal-quality', {}).get('value', 0)}%",
        "4g_ip": run("ip", "-o", "-4", "addr", "show", "wwan0").partition("inet ")[2].split("/")[0],
        "gps": {"available": False, "fix_status": "no_fix", "error": "GPS daemon not available"},
    }


def is_alive(pidfile: str) -> bool:
    try:
        with open(pidfile) as file:
            return psutil.pid_exists(int(file.read().split(":")[0]))
    except (OSError, ValueError):
        return False


def hardware_id() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("Serial"):
                return line.split(":")[1].strip()
    return "0000000000000000"


def newest_file() -> str:
    directory = os.path.dirname(os.path.abspath(__file__))
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names]
    times = [os.path.getmtime(path) for path in paths if path.endswith((".py", ".html", ".png"))]
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(max(times)))


def document() -> dict:
    disk = psutil.disk_usage("/")
    return {
        "hardwareid": hardware_id(),
        "cpu": psutil.cpu_percent(interval=0.1),
        "mem": psutil.virtual_memory().percent,
        "temp": temperature(),
        "power": power(),
        "fan_rpm": fan(),
        "disk": {"percent": disk.percent, "used_gb": disk.used / 2**30, "total_gb": disk.total / 2**30},
        "connection": connection(),
        "timestamp": time.time(),
        "app_version": newest_file(),
        "streaming_active": is_alive("/tmp/relay-ffmpeg-webcam.pid"),
        "recording_active": is_alive("/tmp/relay-ffmpeg-record-webcam.pid"),
        "tracking_active": is_alive("/tmp/gps-tracker.pid"),
    }


def beat(url: str, ca_file: str) -> None:
    requests.post(url, json=document(), timeout=2.0, verify=ca_file)


def main() -> None:
    url, interval, ca_file = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    while True:
        threading.Thread(target=beat, args=(url, ca_file), daemon=True).start()
        time.sleep(interval)


main()
