"""The target hosts: existing machines, listed in dtk.yaml.

In: requests for machines. Out: which host serves which node, and how to reach it. Must not know: what runs on them.
"""
