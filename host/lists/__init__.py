"""What the host has lists of: names of samplers and schedules, and kinds of models."""
