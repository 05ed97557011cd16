"""What is kept, and how it looks on the wire: a file for each resource."""
