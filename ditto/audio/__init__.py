"""Sound in, features of 25 rows a second out."""
