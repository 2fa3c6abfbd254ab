"""The target hosts: machines that exist, listed in dtk.yaml.

In: requests for machines. Out: which host serves which node, and how it is reached. Must not know: what runs on them.
"""
