"""Conversations with a purpose: states from YAML, words from templates, values read by code."""
