"""How things are measured: requests over one connection, processor time, memory, bytes read, and tables."""

from __future__ import annotations

import dataclasses
import gzip
import http.client
import re
import statistics
import time
from pathlib import Path
from typing import Optional, Sequence

# What Prometheus sends; Accept-Encoding is added where wanted.
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1_000) * len(ordered) // 1_000) - 1))]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process with all its threads, user and system.

    /proc/PID/stat gives the same in hundredths of a second; the process's own clock gives it in nanoseconds.
    """
    return time.clock_gettime((~pid << 3) | 2)


def status_kib(pid: int, field: str) -> int:
    """A size from /proc/PID/status, such as VmRSS, in KiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.M)
    assert found, f"/proc/{pid}/status has no {field}"
    return int(found[1])


def bytes_read(pid: int) -> int:
    """What a process has read by system calls, from files, sockets and /proc alike."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(text.split("rchar:")[1].split()[0])


class Client:
    """Scrapes over one connection that stays open, as Prometheus does."""

    def __init__(self, port: int, packed: bool = False, path: str = "/metrics", seconds: float = 120) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self.path = path
        self.headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip" if packed else "identity"}
        self.size = 0

    def scrape(self) -> tuple[float, bytes]:
        """One scrape: how many seconds it took until the last byte was here, and the body as it came."""
        begun = time.perf_counter()
        self.connection.request("GET", self.path, headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        took = time.perf_counter() - begun
        assert response.status == 200, f"{self.path} answered {response.status}"
        self.size = len(body)
        if response.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return took, body

    def close(self) -> None:
        self.connection.close()


def sample(body: bytes, name: str, **labels: str) -> Optional[float]:
    """The value of the first sample of this name that has these labels."""
    for line in body.decode().splitlines():
        if line.startswith(name) and line[len(name) : len(name) + 1] in "{ ":
            if all(f'{label}="{value}"' in line for label, value in labels.items()):
                return float(line.rpartition("}")[2].split()[0] if "}" in line else line.split()[1])
    return None


@dataclasses.dataclass
class Figures:
    """Values of one kind, shown with the unit they are multiplied into."""

    values: Sequence[float]

    def times(self, factor: float) -> Figures:
        return Figures([value * factor for value in self.values])

    def quartet(self, digits: int = 2) -> str:
        """p50, p99, and the extremes."""
        p50, p99 = percentile(self.values, 0.5), percentile(self.values, 0.99)
        low, high = min(self.values), max(self.values)
        return f"p50 {p50:.{digits}f}, p99 {p99:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    def middle(self, digits: int = 2) -> str:
        """The median, and the extremes."""
        low, high = min(self.values), max(self.values)
        return f"{statistics.median(self.values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


class Table:
    """A Markdown table that grows row by row."""

    def __init__(self, title: str, *columns: str) -> None:
        self.title = title
        self.columns = columns
        self.rows: list[tuple[str, ...]] = []

    def row(self, *cells: object) -> None:
        assert len(cells) == len(self.columns), cells
        self.rows.append(tuple(str(cell) for cell in cells))

    def __str__(self) -> str:
        lines = [f"### {self.title}", "", f"| {' | '.join(self.columns)} |", f"|{'---|' * len(self.columns)}"]
        lines += [f"| {' | '.join(cells)} |" for cells in self.rows]
        return "\n".join(lines) + "\n"
