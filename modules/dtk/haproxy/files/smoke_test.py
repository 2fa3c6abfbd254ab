"""Wait until as many backends as there should be are well, and say which: smoke_test.py URL-OF-STATES COUNT."""

import csv
import sys
import time
import urllib.request

url, count = sys.argv[1], int(sys.argv[2])
until = time.monotonic() + 60
while True:
    with urllib.request.urlopen(url + ";csv", timeout=10) as answer:
        rows = list(csv.DictReader(answer.read().decode().removeprefix("# ").splitlines()))
    servers = [row for row in rows if row["pxname"] == "linked" and row["svname"] != "BACKEND"]
    # A server that no check has been made of yet says that it is up, too.
    well = [row for row in servers if row["status"].startswith("UP") and row["check_status"].startswith("L")]
    if len(well) == len(servers) == count:
        break
    if time.monotonic() > until:
        states = ", ".join(f"{row['svname']} {row['status']} {row['last_chk']}" for row in servers)
        sys.exit(f"not all {count} backends are well: {states or 'there is none'}")
    time.sleep(0.5)
for row in servers:
    print(f"{row['svname']} is {row['status'].split()[0]}")
