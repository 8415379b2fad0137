"""A fleet becomes machines on this computer: namespaces, routers, NAT, a real sshd in each."""
