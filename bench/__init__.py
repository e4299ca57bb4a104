"""`offhook bench`: how fast and how politely the agent takes its turns, measured at the packets."""
