"""What paramctl is measured beside."""
