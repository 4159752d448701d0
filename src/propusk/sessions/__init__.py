"""Sessions: who is logged in, from where, until when. The row is the authority, read on every request."""
