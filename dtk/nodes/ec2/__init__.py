"""The target ec2: EC2 instances managed by dtk.

In: requests for machines. Out: EC2 API calls, and the status of the instances. Must not know: what runs on them.
"""
