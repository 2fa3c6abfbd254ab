"""Count words on the cluster: a text that this writes to HDFS is read by the executors, which write the counts back.

Usage: smoke_test.py DIRECTORY WORKERS (a directory in HDFS that is written anew; how many workers must be there).
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request

from pyspark import SparkContext

LINES = 2000
TEXT = "one two two three three three"
EXPECTED = {"one": LINES, "two": 2 * LINES, "three": 3 * LINES}
JOIN_WITHIN = 30.0  # seconds for the workers to be known to the master; they are when their stage has ended


def alive_workers(web: str) -> int:
    with urllib.request.urlopen(f"{web}/json/", timeout=10) as answer:
        return int(json.load(answer)["aliveworkers"])


def wait_for_workers(web: str, wanted: int) -> int:
    deadline = time.monotonic() + JOIN_WITHIN
    while (alive := alive_workers(web)) < wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return alive


def delete(spark: SparkContext, directory: str) -> None:
    path = spark._jvm.org.apache.hadoop.fs.Path(directory)
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)


def count_words(directory: str, partitions: int) -> dict[str, int]:
    """Return the counts as read back from HDFS."""
    spark = SparkContext(appName="smoke test")
    try:
        delete(spark, directory)
        spark.parallelize([TEXT] * LINES, partitions).saveAsTextFile(f"{directory}/text")
        words = spark.textFile(f"{directory}/text").flatMap(str.split)
        counts = words.map(lambda word: (word, 1)).reduceByKey(int.__add__, partitions)
        counts.map(lambda pair: f"{pair[0]} {pair[1]}").saveAsTextFile(f"{directory}/counts")
        lines = spark.textFile(f"{directory}/counts").collect()
        return {word: int(number) for word, number in map(str.split, lines)}
    finally:
        spark.stop()


def main(directory: str, web: str, workers: str) -> int:
    """Run the test; return the exit code."""
    alive = wait_for_workers(web, int(workers))
    if alive < int(workers):
        print(f"{alive} of {workers} workers are there", file=sys.stderr)
        return 1
    found = count_words(directory, alive)
    if found != EXPECTED:
        print(f"counted {found} instead of {EXPECTED}", file=sys.stderr)
        return 1
    print(f"counted {sum(found.values())} words in {directory} with {alive} workers")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
