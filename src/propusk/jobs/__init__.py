"""Work that runs by itself: periodic functions, one worker of all at a time, and the loop that also sends mail."""
