"""What happened, as the event that AWS would have sent: one file for each service."""
