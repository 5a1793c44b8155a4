"""The whole engine in a world of chance: every vendor, file, message and clock is simulated, and each seed is replayed alike.

``python -m tests.simulation --seeds 1000`` runs a thousand of them.
"""
