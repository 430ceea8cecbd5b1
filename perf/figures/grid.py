"""The cells in which logpump is held against what one would take instead: how many children write how, and to what service."""

from dataclasses import dataclass

LATENCY = "latency:25ms"
# What 200,000 lines/s of 150 bytes need is 34 full batches a second.
QUOTA_CALLS_PER_S = 20
RATES = {"20k": 20_000, "200k": 200_000, "full": None}
EVERYONE = ("null", "cat", "poller", "thread", "fluent-bit", "vector", "uring", "epoll")
# Of many children: those that need no process for each. 512 are beyond what the Python readers get through.
PARENTS = ("null", "thread", "uring", "epoll")
SHIPPERS = ("poller", "thread", "fluent-bit", "vector", "uring", "epoll")


@dataclass(frozen=True)
class Sizes:
    seconds: float
    # Of an outage: well, then dead for so long; the writer goes on as long as before it.
    well_s: float
    dead_s: float
    scheduler_s: float
    rounds: int


WHOLE = Sizes(seconds=5, well_s=5, dead_s=20, scheduler_s=20, rounds=5)
QUICK = Sizes(seconds=2, well_s=2, dead_s=6, scheduler_s=6, rounds=2)


@dataclass(frozen=True)
class Cell:
    children: int
    # Of all children together; a key of RATES.
    rate: str
    readers: tuple
    mode: str = "line"
    service: str = "healthy"
    transport: str = "plain"

    @property
    def name(self):
        special = [word for word in (self.mode, self.service, self.transport) if word not in ("line", "healthy", "plain")]
        return "-".join([str(self.children), self.rate, *special])

    @property
    def title(self):
        children = "1 child" if self.children == 1 else f"{self.children} children"
        rate = "full speed" if RATES[self.rate] is None else f"{RATES[self.rate]:,} lines/s"
        words = [children, rate, "64 KiB writes" if self.mode == "bulk" else "a write() a line"]
        trouble = {"throttled": f"{QUOTA_CALLS_PER_S} calls/s granted", "dead": "an outage", "tls": "TLS", "gzip": "gzip"}
        words += [trouble[word] for word in (self.service, self.transport) if word in trouble]
        return ", ".join(words)

    def seconds(self, sizes):
        return 2 * sizes.well_s + sizes.dead_s if self.service == "dead" else sizes.seconds

    def faults(self, sizes):
        """The stand-in's script. An outage resets every connection."""
        trouble = {
            "healthy": "",
            "throttled": f"quota:{QUOTA_CALLS_PER_S}; ",
            "dead": f"reset:op=any,from={sizes.well_s:g}s,for={sizes.dead_s:g}s; ",
        }
        return trouble[self.service] + LATENCY

    def writer(self, number, sizes):
        rate = RATES[self.rate]
        arguments = ["--writer", f"w{number}", "--mode", self.mode, "--duration", f"{self.seconds(sizes):g}s"]
        return arguments + (["--rate", f"{rate / self.children:g}"] if rate else [])


CELLS = [
    Cell(1, "20k", EVERYONE),
    Cell(1, "200k", EVERYONE),
    Cell(1, "full", EVERYONE),
    Cell(1, "full", ("null", "cat", "uring", "epoll"), mode="bulk"),
    Cell(8, "200k", EVERYONE),
    Cell(8, "full", ("null", "cat", "thread", "fluent-bit", "vector", "uring", "epoll")),
    Cell(64, "200k", PARENTS),
    Cell(512, "20k", ("null", "uring", "epoll")),
    Cell(512, "200k", ("null", "uring", "epoll")),
    Cell(1, "200k", SHIPPERS, service="throttled"),
    Cell(1, "20k", ("poller", "thread", "fluent-bit", "vector", "uring"), service="dead"),
    Cell(1, "full", ("thread", "uring", "epoll"), transport="tls"),
    Cell(1, "full", ("uring", "epoll"), transport="gzip"),
]
BY_NAME = {cell.name: cell for cell in CELLS}
