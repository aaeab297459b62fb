"""What one iteration of a model does to one system: seconds, bytes, flops, watts."""
