"""Hermes' own logging as the writer, with its real handlers that rotate, and the exporter counting meanwhile."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Iterator

import pytest

from exporter import Exporter, Server, bare_environment, failures
from exposition import Samples
from processes import Program, running, wait_for

SECRET = "hunter2-never-to-be-seen"
STEPS = 6
# Files are this large at most, and those of three rotations are kept, of errors.log two.
LARGEST = 40_000

# Writes step by step, so that nothing is rotated away before anybody has looked: what has been written by then goes to the
# output, and the next step waits for a file.
WRITER = """
import json, logging, os, pathlib, random, sys, time
import hermes_logging
home, steps, largest, secret = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
hermes_logging.setup_logging(hermes_home=home, mode="gateway")
for handler in hermes_logging.rotating_file_handlers():
    handler.maxBytes = largest
levels = [logging.DEBUG, logging.INFO, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
loggers = ["agent.loop", "gateway.run", "tools.shell", "plugins.platforms.telegram.adapter"]
random = random.Random(7)
written = {log: {} for log in ("agent", "errors", "gateway")}
rate_limited = 0

def note(name, level):
    word = logging.getLevelName(level).lower()
    for log, takes in (
        ("agent", level >= logging.INFO),
        ("errors", level >= logging.WARNING),
        ("gateway", level >= logging.INFO and name.startswith(("gateway", "plugins.platforms"))),
    ):
        if takes:
            written[log][word] = written[log].get(word, 0) + 1

class RateLimitError(Exception):
    pass

def write():
    global rate_limited
    name, level = random.choice(loggers), random.choice(levels)
    logger = logging.getLogger(name)
    kind = random.randrange(6)
    hermes_logging.set_session_context("20261120_084916_ab12") if kind == 0 else hermes_logging.clear_session_context()
    if kind == 1:
        logger.log(level, "%s\\nsecond line of %d bytes\\n\\nfourth line", secret, 429)
    elif kind == 2:
        level = logging.ERROR
        is_limit = random.random() < 0.5
        try:
            raise RateLimitError("Error code: 429 - slow down") if is_limit else ValueError("port 429")
        except Exception:
            logger.exception("Outer loop error in API call #%d", 429)
        rate_limited += is_limit
    elif kind == 3:
        logger.log(level, "API call failed (attempt %s/%s) error_type=%s %s summary=%s", 1, 3, "RateLimitError", "provider=x", "HTTP 429: slow down")
        rate_limited += level >= logging.WARNING
    else:
        logger.log(level, "\\u00fcber %s %s", secret, "x" * random.randrange(300))
    note(name, level)

for step in range(steps + 1):
    if step:
        for _ in range(450):
            write()
        hermes_logging.flush_log_queue()
    print(json.dumps({"written": written, "rate_limited": rate_limited}), flush=True)
    while not (home / f"go-{step}").exists():
        time.sleep(0.01)
"""


def told(program: Program, step: int) -> dict:
    """What the writer has written after a step."""

    def line() -> str:
        program.assert_running()
        lines = program.output().splitlines()
        return lines[step] if len(lines) > step else ""

    return json.loads(wait_for(f"step {step} of the writer", line))


def counted(samples: Samples) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for labels, value in samples.series("hermes_log_lines_total", instance="vijay").items():
        by_name = dict(labels)
        found.setdefault(by_name["log"], {})[by_name["level"]] = value
    return found


@contextlib.contextmanager
def scraped_all_the_time(server: Server) -> Iterator[list[Samples]]:
    """Scrapes in the background for the length of a `with` block."""
    seen: list[Samples] = []
    is_over = threading.Event()

    def scrape() -> None:
        while not is_over.is_set():
            seen.append(server.scrape("?collect[]=logs"))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("is_scraped_meanwhile", [False, True], ids=["between", "meanwhile"])
def test_every_record_that_hermes_logs_is_counted_by_level(
    exporter: Exporter, hermes_python: Path, folder: Path, is_scraped_meanwhile: bool
) -> None:
    home = folder / "home"
    home.mkdir()
    environment = bare_environment(folder) | {"HERMES_HOME": str(home)}
    writer = (hermes_python, "-B", "-c", WRITER, home, STEPS, LARGEST, SECRET)
    configuration = exporter.configuration({"vijay": home}, {"units": []})
    with (
        running(*writer, environment=environment) as program,
        exporter.serving(configuration, "--log.level", "debug") as server,
        contextlib.ExitStack() as stack,
    ):
        told(program, 0)
        samples = server.scrape()
        assert failures(samples, "vijay").get("logs") is None
        assert {value for levels in counted(samples).values() for value in levels.values()} == {0}
        assert set(counted(samples)) == {"agent", "errors", "gateway"}
        seen = stack.enter_context(scraped_all_the_time(server)) if is_scraped_meanwhile else []
        for step in range(STEPS):
            (home / f"go-{step}").touch()
            expected = told(program, step + 1)
            samples = server.scrape()
            for log, levels in counted(samples).items():
                assert {level: count for level, count in levels.items() if count} == expected["written"][log], log
            assert samples.value("hermes_rate_limited_total", instance="vijay") == expected["rate_limited"]
        assert len(list((home / "logs").glob("agent.log.?"))) == 3, "it was rotated"
        stack.close()
        totals = [sum(sum(levels.values()) for levels in counted(samples).values()) for samples in seen]
        assert totals == sorted(totals), "a counter has fallen, or a log was not there while it was rotated"
        for text in (server.get("/metrics").text, server.get("/").text, server.program.everything()):
            assert SECRET not in text
        assert SECRET not in server.get("/api/v1/instances").text
