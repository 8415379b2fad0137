"""The ``fleet.yaml`` that ``wireloom init`` writes."""

SCHEMA_FILE = "fleet.schema.json"

TEMPLATE = f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# The machines of this fleet and the encrypted network between them. The addresses here are from the
# documentation ranges: put your own in their place, then run `wireloom check` and `wireloom plan`.
# The editor completes and explains every key from {SCHEMA_FILE} (`wireloom schema` prints it anew).
fleet: my-fleet

underlay:                        # the network that WireGuard makes
  interface: wg0
  port: 51820                    # UDP, to be let in by the firewalls of machines with a public address
  ipv4: 10.99.0.0/16             # a range that nothing else uses; it can't grow easily later
  # ipv6: fd42:99::/64           # beside ipv4, or alone
  # mtu: auto                    # or a number of bytes

sites:                           # where machines reach each other by private addresses
  east: {{ private: [10.0.0.0/16] }}
  west: {{}}                       # public addresses only
  # office: {{ nat: true }}        # its machines can dial out, but not be dialled

nodes:                           # they get underlay addresses in this order, and keep them
  cp1:
    site: east
    ssh: root@203.0.113.10       # [user@]host[:port]; leave `ssh` out to only export the node's files
    public: [203.0.113.10]       # where other sites dial it
    private: [10.0.0.2]          # where its own site dials it
    roles: [k3s-server]          # k3s-server, k3s-agent, or none: a machine outside Kubernetes
  w1:
    site: east
    ssh: {{ host: 10.0.0.3, jump: cp1 }}   # through a node, or any other host
    public: [203.0.113.11]
    private: [10.0.0.3]
    roles: [k3s-agent]
  w2:
    site: west
    ssh: deploy@198.51.100.7:2222
    public: [198.51.100.7]
    roles: [k3s-agent]

# ssh: {{ user: deploy, sudo: true }}      # defaults; a node's own value wins

# kubernetes: {{ version: v1.34.2+k3s1, pods: [10.42.0.0/16], services: [10.43.0.0/16] }}
"""
