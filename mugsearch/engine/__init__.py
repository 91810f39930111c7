"""Faces and vectors. This room imports no Django, and importing the package itself imports nothing else."""
