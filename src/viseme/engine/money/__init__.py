"""Money: budgets kept, jobs priced."""
