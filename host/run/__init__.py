"""What happens in a run: the host's call of a sampler, its model, patches on it, and wrappers."""
