"""The table of a benchmark's results."""

import statistics
from collections.abc import Callable, Iterable

# What is shown at each interval: a name, a key of the results, decimals.
A_BEAT = [
    ("CPU, ms", "cpu_ms", 2),
    ("system calls", "system_calls", 1),
    ("wake-ups", "wake_ups", 1),
    ("page faults", "page_faults", 1),
    ("threads and processes started", "started", 1),
    ("packets", "packets", 1),
    ("bytes sent, with TCP and IP", "bytes_up", 0),
    ("bytes received, with TCP and IP", "bytes_down", 0),
    ("document, bytes", "document_bytes", 0),
]
A_PROCESS = [
    ("heap allocations a beat", "allocations", 1),
    ("resident, MB", "resident_kib", 2),
    ("private, MB", "private_kib", 2),
    ("descriptors", "descriptors", 0),
    ("threads", "threads", 0),
    ("first beat, ms", "first_beat_ms", 0),
    ("of it connection and handshake, ms", "handshake_ms", 0),
    ("program and libraries, MB", "program_bytes", 2),
]
# Of the faster interval, for those whose connections can be ended.
A_CONNECTION = [
    ("bytes, session resumed", "reconnect_bytes", 0),
    ("bytes, session not known any more", "new_session_bytes", 0),
]
# Shown in MB of a million bytes.
SCALES = {"resident_kib": 1024 / 1e6, "private_kib": 1024 / 1e6, "program_bytes": 1e-6}


def render(results: list[dict], machine: dict) -> str:
    """The medians of all rounds, and the ratios of the CPU times in each round with their spread."""
    names = list(dict.fromkeys(result["contestant"] for result in results))
    rows = [["", *names]]
    for interval in sorted({result["interval_s"] for result in results}, reverse=True):
        rows.append([f"a beat at {interval:g} s", *[""] * len(names)])
        at = [result for result in results if result["interval_s"] == interval]
        rows += [[name, *cells(at, names, key, decimals)] for name, key, decimals in A_BEAT]
        for base in ("floor", "daemon"):
            if base in names:
                rows.append([f"CPU / {base}", *(ratio(at, name, base) for name in names)])
    slowest = max(result["interval_s"] for result in results)
    at = [result for result in results if result["interval_s"] == slowest]
    rows.append(["a process", *[""] * len(names)])
    rows += [[name, *cells(at, names, key, decimals)] for name, key, decimals in A_PROCESS]
    fastest = min(result["interval_s"] for result in results)
    at = [result for result in results if result["interval_s"] == fastest]
    if any(key in result for result in at for _, key, _ in A_CONNECTION):
        rows.append(["another connection, with TCP and IP", *[""] * len(names)])
        rows += [[name, *cells(at, names, key, decimals)] for name, key, decimals in A_CONNECTION]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names) + 1)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
        for row in rows
    ]
    rounds = max(result["round"] for result in results)
    head = f"{machine['architecture']}, {machine['processors']} processors, Linux {machine['kernel']}; medians of {rounds} rounds"
    return "\n".join([head, "", *lines])


def cells(results: Iterable[dict], names: list[str], key: str, decimals: int) -> list[str]:
    """The median of one quantity for each contestant."""
    return [show(median(results, name, lambda result: result.get(key)), SCALES.get(key, 1), decimals) for name in names]


def median(results: Iterable[dict], name: str, value: Callable[[dict], float | None]) -> float | None:
    """The median of a contestant's results; `None` if it has none."""
    values = [value(result) for result in results if result["contestant"] == name]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def show(value: float | None, scale: float, decimals: int) -> str:
    return "-" if value is None else f"{value * scale:,.{decimals}f}"


def ratio(results: Iterable[dict], name: str, base: str) -> str:
    """A contestant's CPU time over another's of the same round: the median, and the range if there are several rounds."""
    cost = {(result["contestant"], result["round"]): result["cpu_ms"] for result in results}
    ratios = [cost[name, number] / cost[base, number] for known, number in cost if known == name]
    text = f"{statistics.median(ratios):.2f}"
    return text if len(ratios) == 1 else f"{text} ({min(ratios):.2f}-{max(ratios):.2f})"
