"""The API's routes, a file for each resource, as the API reference has them."""
