"""What is fetched and never committed. `python -m checkpoints.fetch` brings it; `README.md` says what it is."""
