"""Webhook events and their delivery."""
