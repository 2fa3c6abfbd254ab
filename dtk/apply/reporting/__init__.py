"""What a running task reports: events, redacted; output, bounded; the reason of each failure.

In: results and lines of output. Out: events appended to the log, free of secrets. Must not know: how work is done.
"""
