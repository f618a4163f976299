"""Benchmarks of the main job; ``python -m benchmarks.run`` runs them all."""
