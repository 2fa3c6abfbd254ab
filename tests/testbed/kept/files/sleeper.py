"""A program to keep running: it exits with 143 on SIGTERM, as Java programs do, with 0 on SIGINT, or immediately."""

import signal
import sys
from pathlib import Path

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
if sys.argv[1] == "fail":
    raise OSError("no room for it")
sys.stdout.write(f"ready with {sys.argv[1]} and {Path('sleeper.conf').read_text()}\n")
sys.stdout.flush()
while True:
    signal.pause()
