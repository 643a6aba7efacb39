"""What one process costs, from `/proc`, `strace` and the packet counters of the network namespace."""

import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import time
from dataclasses import dataclass

# Of an IPv4 packet and of a TCP segment with timestamps (RFC 791, RFC 7323), in bytes.
HEADERS = 20 + 32
# System calls that begin a thread or a process.
BEGIN = {"clone", "clone3", "fork", "vfork"}
# In which strace lets go of what it traces, in s.
DETACH_S = 10


def tasks(pid: int) -> list[pathlib.Path]:
    """The threads of a process."""
    return list(pathlib.Path(f"/proc/{pid}/task").iterdir())


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended.

    Its own is exact, by the clock that counts it (clock_getcpuclockid(3)); that of children comes in hundredths of a second.
    """
    own = time.clock_gettime((~pid << 3) | 2)
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def wake_ups(pid: int) -> int:
    """How often a thread of the process has waited and was woken."""
    count = 0
    for task in tasks(pid):
        try:
            count += int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.M)[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return count


def page_faults(pid: int) -> int:
    """How often a page that the process touched was not in its page tables: minor and major faults of its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7]) + int(fields[9])


def memory(pid: int) -> dict[str, int]:
    """Resident memory, in KiB; of it what the process has written to and shares with no other, and what is of no file."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.M)}
    names = {"resident_kib": "Rss", "private_kib": "Private_Dirty", "anonymous_kib": "Anonymous"}
    return {name: sizes[line] for name, line in names.items()}


def program_bytes(pid: int) -> int:
    """Size of the program and of the libraries that it has loaded."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    files = {fields[5] for line in maps if len(fields := line.split(None, 5)) == 6 and "x" in fields[1]}
    return sum(os.stat(path).st_size for path in files if path.startswith("/") and os.path.exists(path))


class PacketCounters:
    """Counts the packets of TCP ports on the way in and out, with the headers of TCP and IP (nft(8))."""

    def __init__(self) -> None:
        # Packets as they are on a network with this frame size: none is as large as loopback allows.
        run("ip", "link", "set", "lo", "mtu", "1500", "gso_max_segs", "1")
        run("nft", "add table inet bench; add chain inet bench out { type filter hook output priority 0; }")

    def count(self, port: int) -> None:
        """Begins to count what goes to a port and comes from it."""
        for name, match in (("up", "dport"), ("down", "sport")):
            run("nft", f"add counter inet bench {name}{port}")
            run("nft", f'add rule inet bench out oif lo tcp {match} {port} counter name "{name}{port}"')

    def read(self, port: int) -> dict[str, int]:
        """Bytes and packets so far."""
        listed = json.loads(run("nft", "-j", "list", "counters", "table", "inet", "bench"))
        found = {}
        for entry in listed["nftables"]:
            counter = entry.get("counter")
            if counter and counter["name"] in (f"up{port}", f"down{port}"):
                way = counter["name"].removesuffix(str(port))
                found[f"bytes_{way}"], found[f"packets_{way}"] = counter["bytes"], counter["packets"]
        return found


@dataclass
class Snapshot:
    """What a process has used so far."""

    cpu: float
    wake_ups: int
    page_faults: int
    packets: dict[str, int]

    @classmethod
    def take(cls, pid: int, counters: PacketCounters, port: int) -> "Snapshot":
        """Of a process whose server, or whose own port, is `port`."""
        return cls(cpu_seconds(pid), wake_ups(pid), page_faults(pid), counters.read(port))

    def since(self, before: "Snapshot", beats: int) -> dict[str, float]:
        """What a beat has cost since then."""
        cost = {
            "cpu_ms": (self.cpu - before.cpu) * 1e3 / beats,
            "wake_ups": (self.wake_ups - before.wake_ups) / beats,
            "page_faults": (self.page_faults - before.page_faults) / beats,
        }
        for name, value in self.packets.items():
            cost[name] = (value - before.packets[name]) / beats
        cost["packets"] = cost["packets_up"] + cost["packets_down"]
        cost["bytes"] = cost["bytes_up"] + cost["bytes_down"]
        return cost


class Tracer:
    """Counts the system calls of a running process, of all its threads and of the processes that it starts."""

    def __init__(self, pid: int, scratch: pathlib.Path) -> None:
        self._output = scratch / f"strace.{pid}"
        self._threads = [task.name for task in tasks(pid)]
        command = ["strace", "-f", "-qq", "-o", str(self._output), "-p", str(pid)]
        self._strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while not all(traced(task) for task in tasks(pid)):
            time.sleep(0.01)

    def stop(self, beats: int) -> dict[str, float]:
        """What a beat has cost. The names of the calls are listed under `calls`."""
        self._strace.send_signal(signal.SIGINT)
        try:
            self._strace.wait(DETACH_S)
        except subprocess.TimeoutExpired:
            # It waits for a thread to stop that waits in vfork(2) for a child, which waits for strace to let it go on. The
            # kernel lets all go on when strace ends.
            self._strace.kill()
            self._strace.wait()
        calls: collections.Counter[str] = collections.Counter()
        waiting = set(self._threads)
        for line in self._output.read_text(errors="replace").splitlines():
            # `THREAD NAME(...`; what goes on after another thread's line was counted when it began.
            if match := re.match(r"(\d+) +(\w+)\(", line):
                # The call in which a thread waited as the trace began, for which another one waits at its end.
                if match[1] in waiting:
                    waiting.discard(match[1])
                else:
                    calls[match[2]] += 1
        started = sum(count for name, count in calls.items() if name in BEGIN)
        return {
            "system_calls": sum(calls.values()) / beats,
            "started": started / beats,
            "calls": {name: count / beats for name, count in calls.most_common()},
        }


def traced(task: pathlib.Path) -> bool:
    """Whether a thread is being traced; one that has ended counts as such."""
    try:
        return "TracerPid:\t0\n" not in (task / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def run(*command: str) -> str:
    """Runs a tool that must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
