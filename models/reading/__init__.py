"""Reads text aloud: from what is written to the words that a person would say."""
