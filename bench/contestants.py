"""What is compared: each can be started with an interval, and tells when its heartbeats come."""

import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass

from receiver import Beats, Receiver, Scraper

HERE = pathlib.Path(__file__).parent
PYTHON = "/usr/bin/python3"
AUTHORITIES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
HELPERS = ["vcgencmd", "ip", "nmcli", "iwgetid", "iw", "mmcli"]
COLLECTD_PLUGINS = ["cpu", "memory", "df", "interface", "thermal", "uptime", "write_http"]


class Missing(Exception):
    """A contestant cannot take part; the text says what to do."""


@dataclass
class Running:
    """A contestant that has been started."""

    process: subprocess.Popen
    beats: Beats
    port: int
    # Where a connection can be ended to see what another one costs.
    receiver: Receiver | None = None

    @property
    def output(self) -> pathlib.Path:
        """What it says."""
        return pathlib.Path(f"/proc/{self.process.pid}/cwd").resolve() / "output"


@dataclass
class Workshop:
    """What contestants are made of: where their files go, and the daemon's programs."""

    scratch: pathlib.Path
    daemon: pathlib.Path
    daemon_dynamic: pathlib.Path

    def __post_init__(self) -> None:
        certificate, key = self.scratch / "server.pem", self.scratch / "server.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = ["-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-days", "2", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run([*command, *names, *files], check=True, stderr=subprocess.DEVNULL)
        self._identity = (certificate, key)
        self.tls = self.fresh_tls()
        # All the authorities of the system, as without this file, and the server's own certificate.
        self.authorities = self.scratch / "authorities.pem"
        system = AUTHORITIES.read_bytes() if AUTHORITIES.exists() else b""
        self.authorities.write_bytes(system + certificate.read_bytes())
        self._made = 0

    def fresh_tls(self) -> ssl.SSLContext:
        """Settings of a server that knows no earlier sessions."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._identity)
        return context

    def compile(self, source: str, *flags: str) -> pathlib.Path:
        """Compiles one of the programs beside, once."""
        program = self.scratch / pathlib.Path(source).stem
        if not program.exists():
            subprocess.run(["cc", "-O2", "-Wall", *flags, "-o", program, HERE / source], check=True)
        return program

    def directory(self) -> pathlib.Path:
        """A fresh directory for one start."""
        self._made += 1
        directory = self.scratch / f"run{self._made}"
        directory.mkdir()
        return directory


class Floor:
    """Only the unavoidable system calls, on a plain connection."""

    name = "floor"
    is_counted = True

    def start(self, shop: Workshop, interval: float, environment: dict[str, str]) -> Running:
        program = dynamic_floor(shop) if environment else shop.compile("floor.c", "-static")
        receiver = Receiver()
        command = [program, "127.0.0.1", str(receiver.port), str(interval)]
        return Running(spawn(command, shop.directory(), environment), receiver.beats, receiver.port)


def dynamic_floor(shop: Workshop) -> pathlib.Path:
    """The floor with the system's C library, so that its allocations can be counted."""
    program = shop.scratch / "floor-dynamic"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "floor.c"], check=True)
    return program


@dataclass
class Daemon:
    """The packaged program as its unit starts it: with a status file, and with a supervisor and its watchdog."""

    is_secured: bool = True
    is_counted = True

    @property
    def name(self) -> str:
        return "daemon" if self.is_secured else "daemon-plain"

    def start(self, shop: Workshop, interval: float, environment: dict[str, str]) -> Running:
        program = shop.daemon_dynamic if environment else shop.daemon
        if not program.exists():
            how = "cargo build --release -p heartbeat-daemon" if environment else "packaging/build amd64"
            raise Missing(f"{program} is missing: {how}")
        receiver = Receiver(shop.tls if self.is_secured else None)
        directory = shop.directory()
        config = directory / "config.toml"
        scheme = "https" if self.is_secured else "http"
        config.write_text(
            f'url = "{scheme}://127.0.0.1:{receiver.port}/heartbeat.php"\ninterval = {interval}\npidfile = ""\n'
            + (f'ca_file = "{shop.authorities}"\n' if self.is_secured else "")
        )
        unit = {
            "RUNTIME_DIRECTORY": str(directory),
            "NOTIFY_SOCKET": str(listen_for_notifications(directory)),
            "WATCHDOG_USEC": "30000000",
        }
        command = [program, "--config", config, "run"]
        process = spawn(command, directory, environment | unit)
        return Running(process, receiver.beats, receiver.port, receiver)


class PythonService:
    """The way of the service that the daemon replaces."""

    name = "python"
    is_counted = True

    def start(self, shop: Workshop, interval: float, environment: dict[str, str]) -> Running:
        if subprocess.run([PYTHON, "-c", "import psutil, requests"], stderr=subprocess.DEVNULL, check=False).returncode:
            raise Missing("apt-get install python3-psutil python3-requests")
        helper = shop.compile("helper.c")
        directory = shop.directory()
        for name in HELPERS:
            (directory / name).symlink_to(helper)
        receiver = Receiver(shop.tls)
        url = f"https://127.0.0.1:{receiver.port}/heartbeat.php"
        command = [PYTHON, HERE / "python_service.py", url, str(interval), shop.authorities]
        # Its objects too are counted, instead of only the arenas that they lie in.
        malloc = {"PYTHONMALLOC": "malloc"} if environment else {}
        path = {"PATH": f"{directory}:/usr/bin:/bin"}
        return Running(spawn(command, directory, environment | path | malloc), receiver.beats, receiver.port)


class Collectd:
    """collectd, with as many of the same values as it has, and write_http."""

    name = "collectd"
    is_counted = True

    def start(self, shop: Workshop, interval: float, environment: dict[str, str]) -> Running:
        program = shutil.which("collectd", path="/usr/sbin")
        if not program:
            raise Missing("apt-get install --no-install-recommends collectd-core libcurl3-gnutls libyajl2")
        receiver = Receiver(shop.tls)
        directory = shop.directory()
        plugins = "".join(
            f"<LoadPlugin {name}>\n  FlushInterval {interval}\n</LoadPlugin>\n" if name == "write_http"
            else f"LoadPlugin {name}\n"
            for name in COLLECTD_PLUGINS
        )
        (directory / "collectd.conf").write_text(
            f'Hostname "bench"\nInterval {interval}\nBaseDir "{directory}"\nPIDFile "{directory}/pid"\n'
            f"TypesDB \"/usr/share/collectd/types.db\"\n{plugins}"
            '<Plugin df>\n  MountPoint "/"\n</Plugin>\n'
            f'<Plugin write_http>\n  <Node "bench">\n    URL "https://127.0.0.1:{receiver.port}/"\n'
            f'    CACert "{shop.authorities}"\n    Format "JSON"\n    BufferSize 65536\n  </Node>\n</Plugin>\n'
        )
        command = [program, "-f", "-C", directory / "collectd.conf"]
        return Running(spawn(command, directory, environment), receiver.beats, receiver.port)


class NodeExporter:
    """prometheus-node-exporter as Debian starts it, scraped each interval."""

    name = "node-exporter"
    # A Go program does not allocate by the C library.
    is_counted = False

    def start(self, shop: Workshop, interval: float, environment: dict[str, str]) -> Running:
        program = shutil.which("prometheus-node-exporter", path="/usr/bin")
        if not program:
            raise Missing("apt-get install --no-install-recommends prometheus-node-exporter")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = spawn([program, f"--web.listen-address=127.0.0.1:{port}"], shop.directory(), environment)
        return Running(process, Scraper(port, interval).beats, port)


CONTESTANTS = [Floor(), Daemon(), Daemon(is_secured=False), PythonService(), Collectd(), NodeExporter()]


def spawn(command: list, directory: pathlib.Path, environment: dict[str, str]) -> subprocess.Popen:
    """Starts a program in a directory of its own, with its output there."""
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"} | environment
    with (directory / "output").open("w") as output:
        return subprocess.Popen(
            [str(part) for part in command], cwd=directory, env=variables, stdout=output, stderr=output
        )


def listen_for_notifications(directory: pathlib.Path) -> pathlib.Path:
    """The socket of a supervisor that listens and does nothing."""
    path = directory / "notify"
    supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    supervisor.bind(os.fspath(path))

    def listen() -> None:
        while True:
            supervisor.recv(4096)

    threading.Thread(target=listen, daemon=True).start()
    return path
