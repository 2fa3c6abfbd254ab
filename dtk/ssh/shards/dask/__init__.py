"""Shards on the workers of a Dask cluster.

In: a shard's socket. Out: the same bytes, to and from a shard's process on a Dask worker's machine. Must not know: what
the messages mean.

The task's process and the shards are patched by gevent, Dask needs asyncio. Therefore each has its own process:

    task ⇄ socket pair ⇄ bridge.py ⇄ Dask: scheduler, worker with relay.py ⇄ socket pair ⇄ dtk.ssh.shards.process

The bytes pass through the scheduler, in messages to handlers that relay.py adds to the worker, not in Dask tasks. A
task would have a key and a result that the scheduler stores and shows, that a worker spills to its disk, and that Dask
repeats on another worker after a loss, which dtk must decide itself. A socket of dtk's own would need a port that the
machines can reach; the scheduler is reachable anyway. Bridge and relay encrypt the bytes, in addition to TLS: Dask logs
its messages when its log level is debug.
"""
