"""The test bed: an EC2 API (moto's server with additions) whose instances are hosts that boot on this machine."""
