"""The names and exit codes of a shard's processes, apart from them: what imports a shard is patched by gevent."""

PROCESS = "dtk.ssh.shards.process"
BRIDGE = "dtk.ssh.shards.dask.bridge"
LOST_ON_DASK = 70
"""The exit code of a bridge whose shard on a Dask worker was lost."""
