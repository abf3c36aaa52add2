"""What a machine reaches with a user's data and models, and what limits it."""
