"""The life of a task: what follows from what, written down, and the creates that move money."""
