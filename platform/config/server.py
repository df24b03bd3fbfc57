"""A program: the web server as several processes behind one address, each started again if it dies.

    python -m config.server -b 127.0.0.1 -p 8000

Python works on one thing at a time, so one process uses one core. The address is opened here, once, and handed to each
process; the kernel gives a connection to whoever takes it first.
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from config import env

BACKLOG = 512
AGAIN_S = 1.0  # between two starts, so that what cannot start does not keep a core busy
LEAVE_S = 30  # for a request that is being worked on


class Server:
    """Runs until it is told to end; then every process finishes what it has begun."""

    def __init__(self, listening: socket.socket, *, processes: int) -> None:
        self.listening = listening
        self.wanted = processes
        self.running: list[subprocess.Popen[bytes]] = []
        self.is_ending = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        while not self.is_ending:
            self.running = [process for process in self.running if process.poll() is None]
            while len(self.running) < self.wanted:
                self.running.append(self.start())
            time.sleep(AGAIN_S)  # a signal cuts it short by ending the loop's condition, at most this much later
        return max([self.left(process) for process in self.running], default=0)

    def start(self) -> subprocess.Popen[bytes]:
        fd = self.listening.fileno()
        command = [sys.executable, "-m", "daphne", "--fd", str(fd), "-v", "0", "config.asgi:application"]
        return subprocess.Popen(command, pass_fds=[fd])

    def end(self, number: int, frame: FrameType | None) -> None:
        self.is_ending = True
        for process in self.running:
            process.terminate()

    def left(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit status, once it has ended, by force if need be."""
        try:
            return abs(process.wait(LEAVE_S))
        except subprocess.TimeoutExpired:
            process.kill()
            return abs(process.wait())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-b", "--bind", default="127.0.0.1")
    parser.add_argument("-p", "--port", type=int, default=8000)
    parser.add_argument("--processes", type=int, default=env.WEB_PROCESSES)
    asked = parser.parse_args()
    family = socket.AF_INET6 if ":" in asked.bind else socket.AF_INET
    with socket.create_server((asked.bind, asked.port), family=family, backlog=BACKLOG) as listening:
        sys.exit(Server(listening, processes=asked.processes).run())


if __name__ == "__main__":
    main()
