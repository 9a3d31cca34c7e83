"""What a person sees: words on a node, reports, pictures, texts, and what HTTP answers."""
