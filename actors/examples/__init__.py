"""Examples of actors that speak to one another."""
