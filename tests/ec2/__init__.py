"""Tests of the target ec2 against a mock EC2 in this process."""
