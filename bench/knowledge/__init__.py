"""What of a folder of pages is found for a caller's question, how surely, and how long it takes."""
