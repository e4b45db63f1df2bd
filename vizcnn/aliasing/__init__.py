"""The aliasing lab: what a first layer's stride does to frequencies, to shifts and to pictures."""
