"""Programs that a test starts: kept track of, waited for with a deadline, and ended whatever happens.

Every program gets a session of its own, so that it goes down with all it has started, and is told by the kernel
to end should the tests themselves be killed.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import dataclasses
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Optional, Sequence, TypeVar

Value = TypeVar("Value")

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# How long anything may take that has no reason to take long. Generous: it is only ever waited out by a failure.
DEADLINE_SECONDS = 30.0
PAUSE_SECONDS = 0.05

# What `free_port` has given: some are listened on a good while later.
GIVEN_PORTS: set[int] = set()


class NotInTime(AssertionError):
    """A condition that a test waits for did not come true before its deadline."""


def wait_for(
    what: str, condition: Callable[[], Optional[Value]], seconds: float = DEADLINE_SECONDS, pause: float = PAUSE_SECONDS
) -> Value:
    """Asks `condition` until it answers with something true, and gives that answer.

    What the condition raises as AssertionError or OSError counts as "not yet". If the deadline passes the last answer is
    shown, and the commonest: what came at the end need not be what was waited for.
    """
    deadline = time.monotonic() + seconds
    last: object = None
    answers: collections.Counter[str] = collections.Counter()
    while True:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        answers[repr(last)] += 1
        if time.monotonic() > deadline:
            commonest, times = answers.most_common(1)[0]
            raise NotInTime(
                f"after {seconds:g} s still waiting for: {what}; last answer: {last!r}; "
                f"{times} of {answers.total()} times: {commonest}"
            )
        time.sleep(pause)


def free_port() -> int:
    """A port on the loopback address that nobody listens on just now; each time another one.

    It is below those that the kernel gives to connections: one of these could have it before who it is for.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                if port not in GIVEN_PORTS:
                    GIVEN_PORTS.add(port)
                    return port


def only_child(pid: int) -> int:
    """The one process that a process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1, f"process {pid} has the children {children}, expected one"
    return int(children[0])


def _end_with_the_tests() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """A program that was started, with what it writes in two files."""

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        environment: Optional[dict[str, str]] = None,
        folder: Optional[Path] = None,
        user: Optional[int] = None,
        entering: Sequence[str] = (),
    ) -> None:
        """`entering` is the beginning of a command line that starts the rest of it elsewhere and waits for it."""
        self.arguments = [str(argument) for argument in (*entering, *arguments)]
        self._enters = bool(entering)
        self._output = tempfile.TemporaryFile()
        self._log = tempfile.TemporaryFile()
        identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        self.process = subprocess.Popen(
            self.arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._log,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_end_with_the_tests,
            **identity,
        )

    @property
    def pid(self) -> int:
        """The process of the program itself."""
        return only_child(self.process.pid) if self._enters else self.process.pid

    def output(self) -> str:
        """What it has written so far."""
        return _content(self._output)

    def log(self) -> str:
        """What it has written to the error channel so far."""
        return _content(self._log)

    def everything(self) -> str:
        """Both, for a message about a failure."""
        return f"{self.output()}{self.log()}"

    def is_running(self) -> bool:
        return self.process.poll() is None

    def assert_running(self) -> None:
        assert self.is_running(), f"{self.arguments[0]} ended with {self.process.returncode}:\n{self.everything()}"

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Waits for its end and gives its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotInTime(f"{' '.join(self.arguments)} did not end in {seconds:g} s:\n{self.everything()}") from None

    def end(self) -> None:
        """Ends it and all it has started, politely first."""
        group = self.process.pid
        if self._enters:
            # Alone at first: whoever entered for it has to outlive it and take note of its end. With both gone at
            # once that would fall to the first process of this system, and until then nothing it is in can go away.
            with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
                self.send(signal.SIGTERM)
                self.process.wait(5.0)
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._output.close()
        self._log.close()


def _content(file: BinaryIO) -> str:
    # Not by seeking: the program writes at the same position.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A program that has run to its end."""

    arguments: Sequence[str]
    code: int
    output: str
    log: str

    def succeeded(self) -> Finished:
        """Itself, after making sure that all went well."""
        assert self.code == 0, (
            f"{' '.join(self.arguments)} ended with {self.code}:\n{self.output[-4000:]}{self.log[-4000:]}"
        )
        return self


@contextlib.contextmanager
def running(*arguments: object, **options: object) -> Iterator[Program]:
    """Starts a program for the length of a `with` block."""
    program = Program(arguments, **options)
    try:
        yield program
    finally:
        program.end()


def run(*arguments: object, seconds: float = DEADLINE_SECONDS, **options: object) -> Finished:
    """Runs a program to its end."""
    with running(*arguments, **options) as program:
        code = program.wait(seconds)
        return Finished(program.arguments, code, program.output(), program.log())
