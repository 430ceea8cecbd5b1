"""What it runs on, and how much of it others took."""

import hashlib
import os
import platform
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def first_value(path, key):
    """The value of the first `key : value` line, or of `key: value kB`."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return "unknown"


def cores():
    return len(os.sched_getaffinity(0))


def sha256_gb_per_s():
    """How fast a core is today: signing a body is the largest part of a line's cost, and it is all arithmetic."""
    body = bytes(1 << 20)
    best_s = None
    for _ in range(50):
        started = time.perf_counter()
        hashlib.sha256(body).digest()
        took_s = time.perf_counter() - started
        best_s = took_s if best_s is None else min(best_s, took_s)
    return len(body) / best_s / 1e9


def facts():
    """One line each."""
    memory_kib = int(first_value("/proc/meminfo", "MemTotal").split()[0])
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return [
        f"date      {time.strftime('%Y-%m-%d %H:%M %Z')}",
        f"kernel    {platform.system()} {platform.release()} {platform.machine()}",
        f"CPU       {cores()} x {first_value('/proc/cpuinfo', 'model name')}",
        f"SHA-256   {sha256_gb_per_s():.2f} GB/s a core (Python's hashlib, best of 50)",
        f"memory    {memory_kib / 1024**2:.0f} GiB",
        f"load      {load} (1, 5, 15 minutes, before the run)",
    ]


def busy_s():
    """CPU seconds that all cores have spent on anything since boot; and those the hypervisor took."""
    with open("/proc/stat", encoding="ascii") as lines:
        fields = [int(field) for field in lines.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq) / TICKS_PER_S, steal / TICKS_PER_S
