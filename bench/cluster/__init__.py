"""Several nodes behind Kamailio: what they bear, cost and survive."""
