"""OpenAI's API, as far as this server can do it; the rest is refused, never ignored."""
