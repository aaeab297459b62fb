"""How fast this machine is, and how fast the model itself is evaluated."""
