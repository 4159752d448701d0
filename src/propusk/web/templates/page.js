// A link from a mail has its token in the address. The form has it too: out of the address, the history and the next Referer.
if (location.search) history.replaceState(null, "", location.pathname);
