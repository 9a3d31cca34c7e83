"""A1111 webui's generation texts, the pictures that carry them, and its runs, on our samplers."""
