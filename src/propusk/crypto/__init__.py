"""Keys, signatures, tokens' bytes, password hashes. Knows neither the database nor HTTP."""
