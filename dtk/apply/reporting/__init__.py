"""What a running task reports: redacted events, limited output, and the reason for each failure.

In: results and lines of output. Out: events appended to the log, free of secrets. Must not know: how work is done.
"""
