"""The endpoints of the API, one file a resource, each described once for all four flavours of client."""
