"""The frame around a remote script: it runs whole or not at all, and its output is told from noise."""

from wireloom.transport.port import Completed, TransportError
from wireloom.transport.raw import Raw, quote, read_mark
from wireloom.transport.sudo import Prompt, explain

PLAIN = "sh -s"
"""The command for root. No command has data in it, here or in sudo.py: no login shell is quoted for."""

REMOTE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def opening(nonce: str) -> str:
    """What a shell is told before its first script, whose ``nonce`` it is.

    Whatever is not root stops here: its effective user is the second number of that line of proc(5), which
    costs no process, as `id` would on every machine.
    """
    return f"""{{
export LC_ALL=C PATH={REMOTE_PATH}
unset CDPATH ENV BASH_ENV
while read -r word _ user _; do [ "$word" != Uid: ] || break; done </proc/$$/status
if [ "$user" != 0 ]; then echo '{nonce} not root'; exit 126; fi
}}
"""


def frame_script(script: str, nonce: str, *, fed: bool = False) -> str:
    """Wrap ``script`` for a ``sh -s``, so that ``unframe`` can tell its output by ``nonce`` (a random word).

    The braces make the shell read all of it before it runs any of it: a script cut short by a lost
    connection is a syntax error, not half a change, and a command in it that reads stdin can't eat the rest.
    It runs in a subshell, so that the next one gets a shell as this one did, whatever this one set, and
    however it left.

    ``fed``: data follows on stdin, once the shell has named the nonce. Not before: it would read some of it
    along with the script. Nor does it read on afterwards: what the script left of the data is no script.
    """
    stdin, then = ("3<&0 </dev/null", "exit\n") if fed else ("</dev/null", "")
    return f"""{{
echo '{nonce} begin' $$
echo '{nonce} begin' >&2
(
:
{script}
) {stdin}
echo '{nonce} end' $?
echo '{nonce} end' >&2
{then}}}
"""


def end_mark(nonce: str) -> bytes:
    """What comes after a script's own output, on stdout and on stderr; on a line of its own."""
    return f"{nonce} end".encode()


def unframe(raw: Raw, nonce: str, *, who: str, sudo: Prompt | None) -> Completed:
    """What the script itself left behind, without what shell start-up files printed before it.

    ``who`` is ``user@host`` for messages, ``sudo`` the prompt of the sudo on the way. Where its end is
    missing the shell was ended with it, and how is in ``raw``. Raises TransportError when the script never
    started, with the reason as far as the machine gave one: sudo's refusal, a shell that isn't one, a user
    who isn't root.
    """
    _, begun, said = raw.stdout.partition(f"{nonce} begin ")
    if begun and "\n" in said:
        stdout, ended, status = said.partition("\n")[2].partition(f"{nonce} end ")
        before, marked, stderr = raw.stderr.partition(f"{nonce} begin\n")
        stderr = (stderr if marked else before).partition(f"{nonce} end\n")[0]
        if ended:
            return Completed(int(status.partition("\n")[0]), stdout, stderr)
        return Completed(-1 if raw.status is None else raw.status, stdout, stderr)
    if f"{nonce} not root\n" in raw.stdout:
        raise _not_root(who, sudo=sudo is not None)
    raise _no_shell(raw, who) if sudo is None else explain(raw, sudo.nonce, who)


def started_as(stdout: bytes | bytearray, nonce: str) -> int | None:
    """The process id of the script's shell, by what it printed so far; None: it has not begun."""
    told = read_mark(stdout, f"{nonce} begin".encode())
    return int(told) if told is not None and told.strip().isdigit() else None


def end_script(pid: int) -> str:
    """A script that ends another one, with all that it started in its process group.

    sshd itself would do it only for users other than root. The number is read again from /proc because the
    group's leader may be a login shell before ours.
    """
    return f"""read -r stat 2>/dev/null </proc/{pid}/stat || exit 0
set -- ${{stat##*) }}
[ "$3" -gt 1 ] && kill -TERM "-$3"
"""


def _not_root(who: str, *, sudo: bool) -> TransportError:
    """The script came to run as somebody else than root."""
    if sudo:
        return TransportError(
            f"sudo on {who} does not make this user root",
            hint="let it run commands as root: (root) in sudoers",
        )
    return TransportError(
        f"{who} is not root, and the work to be done needs root",
        hint="set `sudo: true` in the node's ssh settings, or log in as root",
    )


def _no_shell(raw: Raw, who: str) -> TransportError:
    """The login shell ended before it read the script."""
    said = quote(raw.stderr or raw.stdout)
    return TransportError(
        f"the login of {who} ended before the script began (exit status {raw.status}){said}",
        hint="a forced command, a nologin shell, or a shell start-up file that exits or reads its input; "
        f"compare: echo 'echo fine' | ssh {who} sh -s",
    )
