"""The target ec2: EC2 instances managed by dtk.

In: requests for machines. Out: calls of the EC2 API, and what the instances are. Must not know: what runs on them.
"""
