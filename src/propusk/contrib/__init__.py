"""Ways in for those who come from elsewhere. Built on what every host may call; nothing of ours needs it."""
