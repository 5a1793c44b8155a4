"""The whole engine in a world of chance: vendors, files, messages and clocks are simulated, each seed runs alike.

``python -m tests.simulation --seeds 1000`` runs a thousand of them.
"""
