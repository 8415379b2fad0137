"""What a program was built for, by the head of its file."""

# Byte order and e_machine (elf(5), elf.h) → `uname -m`, for what k3s is built for.
_MACHINES = {(1, 62): "x86_64", (1, 183): "aarch64", (1, 40): "armv7l", (2, 22): "s390x"}


def elf_architecture(head: bytes) -> str | None:
    """The architecture, as `uname -m` names it, by the first 20 bytes of a file; None for anything else."""
    if len(head) < 20 or head[:4] != b"\x7fELF" or head[5] not in {1, 2}:
        return None
    order = "little" if head[5] == 1 else "big"
    return _MACHINES.get((head[5], int.from_bytes(head[18:20], order)))  # type: ignore[arg-type]
