"""Record a forward pass: what every layer put out, and what the way back needs."""
