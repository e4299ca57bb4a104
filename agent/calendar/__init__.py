"""Appointments that callers book, move and cancel, in a calendar that any program opens."""
