"""Storage of each resource, and its JSON form in the API; one file per resource."""
