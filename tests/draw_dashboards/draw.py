#!/usr/bin/env python3
"""Draws a dashboard with Grafana's own components (npm @grafana/ui) against a Prometheus, as a picture to look at.

    cd tests/draw_dashboards && npm ci --ignore-scripts --legacy-peer-deps      # once; 400 MB
    tests/draw_dashboards/draw.py --dashboard dashboards/hermes-fleet.json --prometheus http://127.0.0.1:9090 \
        --minutes 20 --output fleet.png [--instance vijay] [--width 1600] [--height 2400]

Needs chromium. Proves queries, units, colours, mappings and layout; not that Grafana loads the file. Not part of the
tests: what is drawn has to be looked at.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).resolve().parent
PAGE = (
    '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="app.css">'
    '<body style="margin:0;background:#111217"><div id="root"></div><script src="app.js"></script>'
)
LOADERS = [f"--loader:.{kind}=dataurl" for kind in ("svg", "png", "woff2", "ttf")]


def height_of(dashboard: dict) -> int:
    """How high all of it is, folded rows opened."""
    extra = sum(
        max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panel["panels"]) - panel["gridPos"]["y"] - 1
        for panel in dashboard["panels"]
        if panel.get("panels")
    )
    last = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    return (last + extra) * 38 + 60


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboard", type=Path, required=True)
    parser.add_argument("--prometheus", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--instance", default=".+")
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=0, help="instead of all of it")
    parser.add_argument("--patience", type=int, default=15000, help="how long the browser may take, in milliseconds")
    arguments = parser.parse_args()
    dashboard = json.loads(arguments.dashboard.read_text())
    settings = {
        "prometheus": arguments.prometheus,
        "seconds": int(arguments.minutes * 60),
        "width": arguments.width,
        "variables": {"instance": arguments.instance, "datasource": "drawn"},
        "shown": {"instance": "All" if arguments.instance == ".+" else arguments.instance},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        define = '--define:process.env.NODE_ENV="development"'
        bundle = ["npx", "esbuild", "app.tsx", "--bundle", f"--outdir={folder}", "--jsx=transform", define]
        subprocess.run([*bundle, *LOADERS, "--log-level=error"], cwd=HERE, check=True)
        (folder / "index.html").write_text(PAGE)
        (folder / "app.css").touch()
        shutil.copy(arguments.dashboard, folder / "dashboard.json")
        (folder / "settings.json").write_text(json.dumps(settings))
        size = f"{arguments.width},{arguments.height or height_of(dashboard)}"
        with served(folder) as port:
            command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            command += [f"--user-data-dir={folder / 'browser'}", f"--window-size={size}", "--hide-scrollbars"]
            command += [f"--virtual-time-budget={arguments.patience}", "--enable-logging=stderr"]
            command += [f"--screenshot={arguments.output.absolute()}", f"http://127.0.0.1:{port}/"]
            finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
        for line in finished.stderr.splitlines():
            if "CONSOLE" in line or "bytes written" in line:
                print(line[:600])


if __name__ == "__main__":
    main()
