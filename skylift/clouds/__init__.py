"""One light, authenticated REST client per cloud: tokens, retries, errors named. No cloud's SDK is needed."""
