"""Who may ask: API keys, tokens of OpenID Connect, client certificates, limits of rate, TLS."""
