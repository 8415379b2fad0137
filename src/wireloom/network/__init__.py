"""Fleet and Lock become a Network: who talks to whom, by which endpoint, with which MTU."""
