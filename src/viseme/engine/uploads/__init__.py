"""Media on their way to the vendors: each content once per account, whoever uses it."""
