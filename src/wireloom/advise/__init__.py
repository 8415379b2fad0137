"""Which layer encrypts what, and which one to use: rules and a matrix, each with its sources. Pure."""
