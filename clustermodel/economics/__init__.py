"""What hardware costs an hour, and what a token costs of it."""
