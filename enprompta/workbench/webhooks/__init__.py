"""The parts of the page Webhooks: subscriptions, and the inbox of deliveries."""
