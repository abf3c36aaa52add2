"""What teachers say of pairs: scored once, kept for ever, exchanged with other tools."""
