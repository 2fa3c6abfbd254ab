"""Tests of the ec2 target against an EC2 in this process."""
