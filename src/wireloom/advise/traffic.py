"""The classes of traffic that a cluster has, as far as encryption treats them alike."""

from enum import StrEnum


class TrafficClass(StrEnum):
    """A class of traffic, by the name that JSON gives it."""

    POD_TO_POD = "pod-to-pod"
    POD_TO_NEIGHBOUR = "pod-to-pod-same-node"
    POD_TO_SERVICE = "pod-to-service"
    POD_TO_NODE = "pod-to-node"
    NODE_TO_POD = "node-to-pod"
    NODE_TO_NODE = "node-to-node"
    KUBELET = "kubelet-api-server"
    ETCD = "api-server-etcd"
    SUPERVISOR = "k3s-supervisor"
    NODE_TO_OUTSIDE = "node-to-outside"
    POD_TO_INTERNET = "pod-to-internet"
    NODE_PORT = "node-port-second-hop"

    @property
    def called(self) -> str:
        """What a person calls it."""
        return _TITLES[self]


_TITLES = {
    TrafficClass.POD_TO_POD: "pod → pod, other node",
    TrafficClass.POD_TO_NEIGHBOUR: "pod → pod, same node",
    TrafficClass.POD_TO_SERVICE: "pod → ClusterIP",
    TrafficClass.POD_TO_NODE: "pod → other node, hostNetwork pod",
    TrafficClass.NODE_TO_POD: "node → pod, other node",
    TrafficClass.NODE_TO_NODE: "node ↔ node, hostNetwork pods",
    TrafficClass.KUBELET: "kubelet ↔ API server",
    TrafficClass.ETCD: "API server ↔ etcd, etcd peers",
    TrafficClass.SUPERVISOR: "k3s supervisor tunnel",
    TrafficClass.NODE_TO_OUTSIDE: "node → host outside Kubernetes",
    TrafficClass.POD_TO_INTERNET: "pod → internet",
    TrafficClass.NODE_PORT: "NodePort, second hop",
}

WITHOUT_CLUSTER = (TrafficClass.NODE_TO_NODE,)
"""What there is between machines that run no Kubernetes."""
