"""The voice: text in, spoken clauses out."""
