"""The target ec2: nodes that are instances of Amazon EC2."""
