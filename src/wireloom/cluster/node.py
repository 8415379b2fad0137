"""k3s on one machine, wanted against seen: K3sDesired + K3sSeen → K3sNodePlan."""

from collections.abc import Iterator, Sequence

from wireloom.cluster.desired import ClusterFile, K3sDesired
from wireloom.cluster.places import AGENT_TOKEN, BINARY, DATASTORE_ENDPOINT, SERVER_TOKEN, STATE, Role
from wireloom.cluster.plan import K3sNodePlan
from wireloom.cluster.seen import K3sSeen
from wireloom.cluster.settings import same_settings
from wireloom.plan.plan import Action, Change, Risk


def plan_k3s(desired: K3sDesired, seen: K3sSeen) -> K3sNodePlan:
    """What k3s needs here; nothing at all where it is as wanted."""
    enters = not seen.data
    missing = [path for path in _token_paths(desired.role) if path not in seen.tokens]
    begins = enters and desired.role is Role.SERVER and desired.entry.server is None
    write = tuple(file for file in desired.files if not _is_as_wanted(file, desired, seen))
    install = seen.version != desired.version
    runs = seen.active == "active"
    note = seen.stamp != desired.stamp
    database = desired.database and DATASTORE_ENDPOINT not in seen.tokens
    restart = runs and (
        install or seen.restart_due or any(not _says_so(file, desired, seen) for file in write)
    )
    changes = (
        *(_describe_binary(desired, seen) if install else ()),
        *(_describe_file(file, seen) for file in write),
        *_describe_tokens(missing, begins=begins),
        *([_DATABASE] if database else ()),
        *([] if seen.enabled else [Change(Action.ENABLE, _unit(desired), "not started at boot")]),
        *([] if runs else [Change(Action.START, _unit(desired), _why_start(desired, seen, begins, enters))]),
        *([_describe_restart(desired)] if restart else ()),
    )
    if note and not changes:
        changes = (Change(Action.CREATE, f"file {STATE}", "wireloom's note of whose machine this is"),)
    return K3sNodePlan(
        desired=desired,
        changes=changes,
        install=install,
        write=write,
        note=note,
        begins=begins,
        joins=enters and not begins,
        tokens=not begins and (enters or bool(missing)),
        database=database,
        enable=not seen.enabled,
        start=not runs,
        restart=restart,
    )


def _is_as_wanted(file: ClusterFile, desired: K3sDesired, seen: K3sSeen) -> bool:
    there = seen.files.get(file.path)
    return there is not None and there.mode == file.mode and _says_so(file, desired, seen)


def _says_so(file: ClusterFile, desired: K3sDesired, seen: K3sSeen) -> bool:
    """Whether it has the text. By which server a machine came in does not count any more once it is in."""
    there = seen.files.get(file.path)
    if there is None:
        return False
    if file is desired.settings and seen.data:
        return same_settings(file.text, there.text)
    return there.text == file.text


_DATABASE = Change(Action.CREATE, f"secret {DATASTORE_ENDPOINT}", "handed on at apply, and kept nowhere else")


def _unit(desired: K3sDesired) -> str:
    return f"unit {desired.role.service}"


def _describe_binary(desired: K3sDesired, seen: K3sSeen) -> Iterator[Change]:
    if seen.version is None:
        yield Change(Action.CREATE, f"file {BINARY}", f"k3s {desired.version}")
    else:
        there = f"k3s {seen.version}" if seen.version else "a file that does not say which k3s it is"
        yield Change(Action.UPDATE, f"file {BINARY}", f"{there} → {desired.version}")


def _describe_file(file: ClusterFile, seen: K3sSeen) -> Change:
    there = seen.files.get(file.path)
    if there is None:
        return Change(Action.CREATE, f"file {file.path}", file.purpose)
    if there.mode != file.mode:
        return Change(Action.UPDATE, f"file {file.path}", f"mode {there.mode:o} → {file.mode:o}")
    before, after = set(there.text.splitlines()), set(file.text.splitlines())
    lines = [*(f"- {one}" for one in sorted(before - after)), *(f"+ {one}" for one in sorted(after - before))]
    return Change(Action.UPDATE, f"file {file.path}", ", ".join(lines) or "its lines in another order")


def _token_paths(role: Role) -> tuple[str, ...]:
    return (AGENT_TOKEN,) if role is Role.AGENT else (SERVER_TOKEN, AGENT_TOKEN)


def _describe_tokens(missing: Sequence[str], *, begins: bool) -> Iterator[Change]:
    why = (
        "made at apply, on the machine" if begins else "handed on by a server at apply, and kept nowhere else"
    )
    return (Change(Action.CREATE, f"token {path}", why) for path in missing)


def _why_start(desired: K3sDesired, seen: K3sSeen, begins: bool, enters: bool) -> str:
    if begins:
        return "begins the cluster"
    if enters:
        return f"joins the cluster at {desired.entry.server or 'its datastore'}"
    return f"not running: {seen.active}"


def _describe_restart(desired: K3sDesired) -> Change:
    away = (
        "its API is away for a moment" if desired.role is Role.SERVER else "its kubelet is away for a moment"
    )
    return Change(Action.RESTART, _unit(desired), f"its files have changed; {away}, pods go on", Risk.BRIEF)
