"""Where a deployment settles: batch, latency, throughput and memory in steady state."""
