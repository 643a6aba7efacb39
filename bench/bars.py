"""The bars of a heartbeat's cost, and whether they hold: each is the most that the daemon may need."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from measure import HEADERS

Result = dict[str, float]
# A quantity of the daemon's result, given the results of the same round and interval by contestant.
Quantity = Callable[[Result, dict[str, Result]], float | None]


@dataclass
class Bar:
    """One bar. It is missed if the median of the rounds is above `most`."""

    name: str
    most: float
    decimals: int
    quantity: Quantity
    # Where it counts, in s.
    intervals: tuple[float, ...]

    def judge(self, results: list[dict], interval: float) -> dict | None:
        """The bar at one interval; `None` if what it needs was not measured."""
        rounds: dict[int, dict[str, Result]] = {}
        for result in results:
            if result["interval_s"] == interval:
                rounds.setdefault(result["round"], {})[result["contestant"]] = result
        values = [self.quantity(each["daemon"], each) for each in rounds.values() if "daemon" in each]
        known = [value for value in values if value is not None]
        if not known:
            return None
        reached = statistics.median(known)
        name = f"{self.name} at {interval:g} s"
        held = reached <= self.most
        return {"bar": name, "most": self.most, "reached": reached, "decimals": self.decimals, "held": held}


def key(name: str, scale: float = 1) -> Quantity:
    """A quantity that was measured as it is."""
    return lambda result, _: result[name] * scale


def beside(result: Result, _: dict[str, Result]) -> float:
    """Bytes both ways beside the document, without TCP and IP."""
    return result["bytes"] - result["packets"] * HEADERS - result["document_bytes"]


def cpu_beside(name: str) -> Quantity:
    """The daemon's CPU time over another's of the same round."""
    return lambda result, others: result["cpu_ms"] / others[name]["cpu_ms"] if name in others else None


SLOW, BOTH = (5.0,), (5.0, 0.2)
BARS = [
    Bar("CPU / floor", 2.5, 2, cpu_beside("floor"), SLOW),
    Bar("CPU / python", 1 / 60, 4, cpu_beside("python"), SLOW),
    Bar("wake-ups", 5, 1, key("wake_ups"), BOTH),
    Bar("system calls", 30, 1, key("system_calls"), BOTH),
    Bar("packets", 4, 1, key("packets"), BOTH),
    Bar("bytes beside the document, without TCP and IP", 260, 0, beside, BOTH),
    Bar("first beat, handshake aside, ms", 50, 0, lambda it, _: it["first_beat_ms"] - it["handshake_ms"], SLOW),
    Bar("resident, MB", 2.6, 2, key("resident_kib", 1024 / 1e6), SLOW),
    Bar("program, MB", 2.9, 2, key("program_bytes", 1e-6), SLOW),
]


def judge(results: list[dict]) -> list[dict]:
    """Every bar whose quantities were measured."""
    judged = (bar.judge(results, interval) for bar in BARS for interval in bar.intervals)
    return [each for each in judged if each]


def render(judged: list[dict]) -> str:
    """The bars, what was reached, and whether they hold."""
    rows = [("the daemon", "bar", "reached", "")]
    for each in judged:
        most, reached = (f"{each[name]:,.{each['decimals']}f}" for name in ("most", "reached"))
        rows.append((each["bar"], most, reached, "held" if each["held"] else "missed"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name.ljust(widths[0])}  {most.rjust(widths[1])}  {reached.rjust(widths[2])}  {held}".rstrip()
        for name, most, reached, held in rows
    )
