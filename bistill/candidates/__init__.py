"""Which documents a query is compared with, and what the teacher says of them."""
