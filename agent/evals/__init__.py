"""Scenarios in YAML, held against the agent in text or over real SIP."""
