"""Single-use tokens, by purpose: what the links in our mails carry."""
