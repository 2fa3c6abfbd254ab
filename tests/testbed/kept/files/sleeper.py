"""A program to be kept running: it ends on SIGTERM with 143, as Java's programs do, on SIGINT with 0; or at once."""

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
