"""Webhook events and their deliveries."""
