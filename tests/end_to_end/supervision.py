"""A real s6: a scan directory with services, and what its own tools say of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import struct
from pathlib import Path
from typing import Iterator, Mapping

from processes import Program, run, running, wait_for

SLEEPER = "#!/bin/sh\nexec sleep 1000\n"


class S6:
    """A running `s6-svscan`."""

    def __init__(self, scan_directory: Path) -> None:
        self.scan_directory = scan_directory
        self._svscan: Program

    @contextlib.contextmanager
    def _running(self) -> Iterator[S6]:
        with running("s6-svscan", self.scan_directory) as self._svscan:
            try:
                yield self
            finally:
                # What was left without a supervisor, too.
                orphans = [self.process_of(service) for service in self.services() if not self.is_supervised(service)]
                if self._svscan.is_running():
                    run("s6-svscanctl", "-t", self.scan_directory)
                    self._svscan.wait()
                for orphan in filter(None, orphans):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(orphan, signal.SIGKILL)

    def services(self) -> list[str]:
        return sorted(path.name for path in self.scan_directory.iterdir() if not path.name.startswith("."))

    def directory(self, service: str) -> Path:
        return self.scan_directory / service

    def tell(self, service: str, *commands: str) -> None:
        """Gives an operator's command, such as `-d`."""
        run("s6-svc", *commands, self.directory(service)).succeeded()

    def words(self, service: str) -> str:
        """What `s6-svstat` says, or complains of."""
        answer = run("s6-svstat", self.directory(service))
        return answer.output if answer.code == 0 else answer.log

    def is_supervised(self, service: str) -> bool:
        return run("s6-svok", self.directory(service)).code == 0

    def process_of(self, service: str) -> int:
        """The process that the status names, whether it still lives or not; 0 for none."""
        try:
            status = (self.directory(service) / "supervise" / "status").read_bytes()
        except FileNotFoundError:
            return 0
        return struct.unpack_from(">Q", status, 24)[0]

    def wait_until(self, service: str, *words: str) -> str:
        """Waits until `s6-svstat` says all of these."""

        def says() -> str:
            said = self.words(service)
            assert all(word in said for word in words), said
            return said

        return wait_for(f"s6-svstat to say {words} of {service}", says)

    def kill_supervisors(self) -> None:
        """Kills s6 with its supervisors, so that nothing but files and orphans is left."""
        children = Path(f"/proc/{self._svscan.pid}/task/{self._svscan.pid}/children").read_text().split()
        self._svscan.send(signal.SIGKILL)
        self._svscan.wait()
        for child in children:
            os.kill(int(child), signal.SIGKILL)


@contextlib.contextmanager
def s6(scan_directory: Path, services: Mapping[str, Mapping[str, str]]) -> Iterator[S6]:
    """Runs s6 on services that are given by their files; scripts are those that begin with `#!`."""
    for command in ("s6-svscan", "s6-svc", "s6-svstat"):
        assert shutil.which(command), f"{command} is not on the PATH: these tests need the package s6"
    scan_directory.mkdir()
    scan_directory.chmod(0o755)
    for service, files in services.items():
        (scan_directory / service).mkdir()
        for name, content in files.items():
            path = scan_directory / service / name
            path.write_text(content)
            path.chmod(0o755 if content.startswith("#!") else 0o644)
    with S6(scan_directory)._running() as started:
        yield started
