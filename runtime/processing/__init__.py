"""What runs over the log for its users: durable subscriptions."""
