"""Where a student goes: gradient flow, the neurons that die on the way, and what its end is."""
