//! Who is calling: secrets, tokens, trusted proxies, origins.
