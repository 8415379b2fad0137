"""How the ssh transport gets to the machines of a lab: sockets made inside of it."""

import errno
import socket

from wireloom.intent.fleet import Fleet
from wireloom.lab import netns
from wireloom.lab.machine import Lab, namespace_path, still_up
from wireloom.lab.plan import plan_lab
from wireloom.transport.port import TransportError
from wireloom.values import NodeName


class LabDialer:
    """Dials the machines of a lab from where their ssh address means something.

    A public address is dialled from the operator's place on the lab's internet; a private one, and any
    machine that can't be dialled from the internet, from the router of its site.
    """

    def __init__(self, lab: Lab, fleet: Fleet) -> None:
        self._lab = lab
        self._machines = plan_lab(fleet, "").machines

    def open_socket(self, node: NodeName) -> tuple[socket.socket, tuple[str, int]]:
        """A TCP socket in the right namespace, neither connected nor blocking, and where to connect it.

        Raises TransportError when the lab is down or has no such machine.
        """
        machine = self._machines.get(node)
        if machine is None or node not in self._lab.machines:
            raise TransportError(
                f"lab {self._lab.name} has no machine {node}",
                hint="the lab is older than the fleet file: wireloom lab down, then wireloom lab up",
            )
        if not still_up(self._lab):
            raise self._gone()
        family = socket.AF_INET6 if machine.address.version == 6 else socket.AF_INET
        try:
            made = netns.open_socket(namespace_path(self._lab, machine.vantage), family)
        except FileNotFoundError:
            raise self._gone() from None
        except OSError as error:
            reason = "needs root" if error.errno == errno.EPERM else error.strerror
            raise TransportError(f"a socket in lab {self._lab.name} could not be made: {reason}") from None
        return made, (str(machine.address), machine.ssh_port)

    def _gone(self) -> TransportError:
        return TransportError(f"lab {self._lab.name} is not up", hint="build it: wireloom lab up")
