#!/usr/bin/env python3
"""Makes a Hermes home with a very large session store, for measuring.

    python benches/large_home.py --hermes-python PYTHON --cache FOLDER [--sessions N] [--messages M]

The empty store is made by Hermes' own code, so that its tables, columns and indexes are the real ones. It is then
filled by plain SQL in one transaction: about 1.1 KB for a message, a system prompt of 12 KB for a session, tool
calls on a quarter of the rows. Two things are not as in real life, and neither is read by the exporter: the tables
of the full-text search are left empty (they would make the file four times as large) and their triggers removed, and
messages are inserted conversation by conversation.

A finished home stays in the cache folder and is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "end_to_end"))

import homes  # noqa: E402

MAKE_EMPTY_STORE = (
    "import pathlib, sys; from hermes_state import SessionDB; SessionDB(pathlib.Path(sys.argv[1])).close()"
)

SOURCES = (("telegram", 40), ("cli", 25), ("cron", 20), ("discord", 10), ("subagent", 5))
END_REASONS = {
    "telegram": ("idle", "daily", "session_reset"),
    "discord": ("idle", "daily"),
    "cli": ("cli_close", "new_session"),
    "cron": ("cron_complete",),
    "subagent": ("agent_close",),
}
MODELS = (("example/large-1", "openrouter"), ("example/small-1", "openrouter"), ("example-local-8b", "custom"))
TOOLS = ("terminal", "read_file", "web_search", "patch", "write_file", "search_files", "memory", "skill_view")
# Who speaks in a turn; "call" is an answer of the model that calls tools.
TURN = ("user", "call", "tool", "call", "tool", "assistant", "user", "assistant")
# Of a message with a text; a quarter of them have none, which brings the mean of all to 1.1 KB.
MEAN_TEXT_BYTES = 1_400
SYSTEM_PROMPT_BYTES = 12_000
YEAR_SECONDS = 365 * 86_400

MESSAGE_COLUMNS = "session_id, role, content, tool_call_id, tool_calls, tool_name, timestamp, finish_reason"
INSERT_MESSAGE = f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class Writer:
    """Makes up rows that look like those of real conversations."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        words = [
            "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz", k=self.random.randint(2, 10)))
            for _ in range(2_000)
        ]

        def text(length: int) -> str:
            made: list[str] = []
            size = 0
            while size < length:
                made.append(self.random.choice(words))
                size += len(made[-1]) + 1
            return " ".join(made)[:length]

        # Few texts, used again and again: what is in them is not read.
        self.texts = [text(int(self.random.expovariate(1 / MEAN_TEXT_BYTES)) + 20) for _ in range(2_000)]
        self.prompts = [text(SYSTEM_PROMPT_BYTES) for _ in range(50)]

    def messages(self, session: str, count: int, begun: float, pause: float) -> Iterator[tuple]:
        """The rows of one conversation, oldest first."""
        call_id = None
        tool = None
        for number in range(count):
            who = TURN[number % len(TURN)]
            moment = begun + number * pause
            text = self.random.choice(self.texts)
            if who == "call":
                tool = self.random.choice(TOOLS)
                call_id = f"call_{self.random.getrandbits(48):012x}"
                call = {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": tool, "arguments": json.dumps({"q": text[:80]})},
                }
                yield session, "assistant", "", None, json.dumps([call]), None, moment, "tool_calls"
            elif who == "tool":
                yield session, "tool", text, call_id, None, tool, moment, None
            else:
                yield session, who, text, None, None, None, moment, "stop" if who == "assistant" else None


def fill(store: sqlite3.Connection, sessions: int, messages: int, now: float) -> None:
    """Inserts everything, in the order of time."""
    writer = Writer()
    chance = writer.random
    share = messages / sessions
    written = 0
    session_rows, usage_rows = [], []

    def rows() -> Iterator[tuple]:
        nonlocal written
        for number in range(sessions):
            identity = f"session_{number:07d}"
            begun = now - YEAR_SECONDS + number * (YEAR_SECONDS - 86_400) / sessions
            left = messages - written
            count = left if number == sessions - 1 else min(left, max(0, int(chance.expovariate(1 / share))))
            # What chance left over or took too much is evened out as it goes.
            target = (number + 1) * share
            if number < sessions - 1 and written + count < target - 50 * share:
                count = min(left, int(target - written))
            pause = chance.uniform(1, 20)
            source = chance.choices([name for name, _ in SOURCES], [weight for _, weight in SOURCES])[0]
            model, provider = chance.choice(MODELS)
            ended = None if chance.random() < 0.05 else begun + count * pause
            calls = sum(1 for place in range(count) if TURN[place % len(TURN)] == "call")
            tokens = [chance.randint(100, 9_000) * max(1, count) for _ in range(5)]
            cost = round(tokens[0] * 3e-6 + tokens[1] * 15e-6, 6)
            session_rows.append(
                (
                    identity,
                    source,
                    model,
                    chance.choice(writer.prompts),
                    begun,
                    ended,
                    chance.choice(END_REASONS[source]) if ended else None,
                    count,
                    calls,
                    *tokens,
                    provider,
                    cost,
                    calls,
                    int(chance.random() < 0.03),
                )
            )
            usage_rows.append((identity, model, provider, "", calls, *tokens, cost, begun, ended or begun))
            if chance.random() < 0.3:
                usage_rows.append(
                    (
                        identity,
                        MODELS[1][0],
                        MODELS[1][1],
                        "title_generation",
                        1,
                        900,
                        30,
                        0,
                        0,
                        0,
                        0.0004,
                        begun,
                        begun,
                    )
                )
            written += count
            yield from writer.messages(identity, count, begun, pause)
            if len(session_rows) >= 1_000:
                flush()
        flush()

    def flush() -> None:
        store.executemany(
            "INSERT INTO sessions (id, source, model, system_prompt, started_at, ended_at, end_reason, message_count, "
            "tool_call_count, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, "
            "billing_provider, estimated_cost_usd, api_call_count, archived) "
            f"VALUES ({', '.join('?' * 18)})",
            session_rows,
        )
        store.executemany(
            "INSERT INTO session_model_usage (session_id, model, billing_provider, task, api_call_count, input_tokens, "
            "output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, estimated_cost_usd, first_seen, "
            f"last_seen, billing_base_url, billing_mode) VALUES ({', '.join('?' * 13)}, '', 'api_key')",
            usage_rows,
        )
        session_rows.clear()
        usage_rows.clear()

    store.executemany(INSERT_MESSAGE, rows())


def make(home: Path, hermes_python: Path, sessions: int, messages: int) -> None:
    """Makes the home: the small recorded one with a large store in place of its own."""
    unpacked = home.parent / f"{home.name}.recorded"
    shutil.rmtree(unpacked, ignore_errors=True)
    homes.unpack(unpacked)["bheem"].rename(home)
    shutil.rmtree(unpacked)
    path = home / "state.db"
    path.unlink()
    environment = {**os.environ, "HERMES_HOME": str(home)}
    subprocess.run([hermes_python, "-c", MAKE_EMPTY_STORE, path], check=True, env=environment)
    store = sqlite3.connect(path, isolation_level=None)
    for (trigger,) in store.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'messages_fts%'"
    ).fetchall():
        store.execute(f"DROP TRIGGER {trigger}")
    store.execute("PRAGMA journal_mode = OFF")
    store.execute("PRAGMA synchronous = OFF")
    store.execute("PRAGMA cache_size = -400000")
    store.execute("PRAGMA foreign_keys = OFF")
    store.execute("BEGIN")
    fill(store, sessions, messages, time.time())
    store.execute("COMMIT")
    # As Hermes leaves it: in WAL mode, without files beside it.
    store.execute("PRAGMA journal_mode = WAL")
    store.close()


def home(cache: Path, hermes_python: Path, sessions: int, messages: int) -> Path:
    """The home of this size, made if it is not in the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    finished = cache / f"home-{sessions}-{messages}"
    if not finished.exists():
        unfinished = cache / f"{finished.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        begun = time.monotonic()
        make(unfinished, hermes_python, sessions, messages)
        unfinished.rename(finished)
        size = (finished / "state.db").stat().st_size
        print(f"made {finished.name}: {size / 1e9:.2f} GB in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hermes-python", type=Path, required=True, help="a Python that has hermes-agent")
    parser.add_argument("--cache", type=Path, required=True, help="where finished homes are kept")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=2_000_000)
    given = parser.parse_args()
    print(home(given.cache, given.hermes_python.absolute(), given.sessions, given.messages))


if __name__ == "__main__":
    main()
