"""The outside: HTTP routes, the data channel's protocol, admission, metrics."""
