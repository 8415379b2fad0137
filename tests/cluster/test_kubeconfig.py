"""Merging an entry into a kubeconfig: ours in, everything else as it was."""

import copy
import pickle

import pytest
import yaml

from tests.cluster.access import KEY, k3s_yaml
from wireloom.cluster.kubeconfig import Access, ClientKey, Entry, merge, read_access
from wireloom.errors import UserError

ACCESS = Access("QVVUSE9SSVRZ", "Q0VSVA==", ClientKey(KEY))
SHOP = Entry("shop", "https://10.99.0.1:6443", ACCESS)
MARK = [{"name": "wireloom", "extension": {"fleet": "shop"}}]
CLUSTER = {
    "name": "shop",
    "cluster": {
        "certificate-authority-data": "QVVUSE9SSVRZ",
        "server": "https://10.99.0.1:6443",
        "extensions": MARK,
    },
}
CONTEXT = {"name": "shop", "context": {"cluster": "shop", "user": "shop", "extensions": MARK}}
USER = {
    "name": "shop",
    "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": KEY, "extensions": MARK},
}
OTHERS = """\
apiVersion: v1
kind: Config
clusters:
- cluster:
    server: https://192.0.2.1:6443
    certificate-authority: /etc/other/ca.crt
  name: other
contexts:
- context: {cluster: other, user: other, namespace: "on"}
  name: other
current-context: other
preferences: {}
users:
- name: other
  user:
    auth-provider:
      config:
        expiry: 2026-01-02T03:04:05Z
        code: 0123
        flag: yes
      name: oidc
"""


def test_the_access_is_read_from_what_k3s_writes() -> None:
    access = read_access(k3s_yaml())
    assert (access.authority, access.certificate, access.key.reveal()) == ("QVVUSE9SSVRZ", "Q0VSVA==", KEY)


BROKEN = {
    "nothing": ("", "its `clusters` is empty"),
    "no YAML": ("a: [", "it is not YAML, line 1"),
    "a list": ("- a", "it is no mapping"),
    "another kind": ("kind: Secret", "its `kind` is not `Config`"),
    "no users": (k3s_yaml().partition("users:")[0], "its `users` is empty"),
    "no key": (k3s_yaml(key='""'), "it has no `client-key-data`"),
    "two documents": (f"{k3s_yaml()}---\n{k3s_yaml()}", "it is not YAML, line"),
    "a tab in it": (k3s_yaml().replace("    server", "\tserver"), "it is not YAML, line"),
    "depth": ("[" * 5000, "it is nested too deeply"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_access_is_refused_without_a_word_of_it(text: str, expected: str) -> None:
    with pytest.raises(ValueError) as error:
        read_access(text)
    assert expected in str(error.value)
    assert KEY[:12] not in str(error.value)


def test_a_key_is_not_shown_by_accident() -> None:
    merged = merge("", SHOP, where="x")
    for one in (ACCESS, SHOP, merged, ACCESS.key):
        assert KEY not in f"{one!r}{one}"
    for carry in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            carry(ACCESS.key)


def test_a_new_file_has_the_entry_and_its_context() -> None:
    merged = merge("", SHOP, where="x")
    assert yaml.safe_load(merged.text) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [CLUSTER],
        "contexts": [CONTEXT],
        "users": [USER],
        "current-context": "shop",
    }
    assert merged.current


def test_what_is_not_ours_stays_to_the_letter() -> None:
    merged = merge(OTHERS, SHOP, where="x")
    assert not merged.current
    kept = yaml.load(merged.text, Loader=yaml.BaseLoader)  # makes texts only
    for entries in ("clusters", "contexts", "users"):
        kept[entries] = kept[entries][:-1]
    assert kept == yaml.load(OTHERS, Loader=yaml.BaseLoader)
    for line in ("expiry: 2026-01-02T03:04:05Z", "code: 0123", "flag: yes", 'namespace: "on"'):
        assert line in merged.text


def test_again_nothing_changes() -> None:
    once = merge(OTHERS, SHOP, where="x").text
    assert merge(once, SHOP, where="x").text == once


def test_a_cluster_that_was_begun_anew_replaces_the_old_one() -> None:
    before = merge(OTHERS, SHOP, where="x").text
    anew = Entry("shop", "https://10.99.0.2:6443", Access("QU5FVw==", "Tg==", ClientKey("Tg==")))
    text = merge(before, anew, where="x").text
    assert KEY not in text
    assert [one["name"] for one in yaml.safe_load(text)["clusters"]] == ["other", "shop"]


def test_what_the_user_added_to_ours_stays() -> None:
    before = merge("", SHOP, where="x").text
    before = before.replace("    server:", "    proxy-url: socks5://localhost:1080\n    server:")
    before = before.replace("    user: shop\n", "    user: shop\n    namespace: web\n")
    after = yaml.safe_load(merge(before, SHOP, where="x").text)
    assert after["clusters"][0]["cluster"]["proxy-url"] == "socks5://localhost:1080"
    assert after["contexts"][0]["context"]["namespace"] == "web"


FOREIGN = {
    "cluster": "clusters: [{name: shop, cluster: {server: 'https://192.0.2.9'}}]",
    "context": "contexts: [{name: shop, context: {cluster: a, user: b}}]",
    "user": "users: [{name: shop, user: {token: abc}}]",
    "user of another fleet": (
        "users: [{name: shop, user: {extensions: [{name: wireloom, extension: {fleet: b}}]}}]"
    ),
    "user without content": "users: [{name: shop, user: null}]",
}


@pytest.mark.parametrize(("kind", "text"), FOREIGN.items(), ids=FOREIGN)
def test_an_entry_of_somebody_else_is_replaced_by_force_only(kind: str, text: str) -> None:
    with pytest.raises(UserError) as error:
        merge(text, SHOP, where="config")
    assert f"config: has another {kind.partition(' ')[0]} named `shop`" in str(error.value)
    forced = yaml.safe_load(merge(text, SHOP, where="config", force=True).text)
    assert (forced["clusters"], forced["contexts"], forced["users"]) == ([CLUSTER], [CONTEXT], [USER])


def test_an_entry_with_the_same_authority_is_of_the_same_cluster() -> None:
    by_hand = k3s_yaml().replace("default", "shop")
    after = yaml.safe_load(merge(by_hand, SHOP, where="x").text)
    assert (after["clusters"], after["users"]) == ([CLUSTER], [USER])


@pytest.mark.parametrize(
    ("before", "use", "current"),
    [("other", False, "other"), ("other", True, "shop"), ('""', False, "shop"), ("shop", False, "shop")],
)
def test_the_current_context_is_the_users(before: str, use: bool, current: str) -> None:
    text = OTHERS.replace("current-context: other", f"current-context: {before}")
    merged = merge(text, SHOP, where="x", use=use)
    assert yaml.safe_load(merged.text)["current-context"] == current
    assert merged.current == (current == "shop")


MALFORMED = {
    "no YAML": "a: [",
    "a text": "hello",
    "another kind": "kind: Pod",
    "users that are none": "users: 5",
    "an entry without a name": "clusters: [{cluster: {}}]",
    "the same name twice": "users: [{name: shop, user: {}}, {name: shop, user: {}}]",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(UserError) as error:
        merge(text, SHOP, where="config", force=True)
    assert str(error.value).startswith("config: is not a kubeconfig: ")
    assert "it is left as it was" in str(error.value)


@pytest.mark.parametrize("empty", ["clusters:", "clusters: null", "clusters: []", "clusters: ~"])
def test_an_empty_list_is_one(empty: str) -> None:
    assert yaml.safe_load(merge(f"kind: Config\n{empty}\n", SHOP, where="x").text)["clusters"] == [CLUSTER]


@pytest.mark.parametrize("name", ["on", "1e3", "0x10", "null"])
def test_a_name_stays_a_text(name: str) -> None:
    after = yaml.safe_load(merge("", Entry(name, "https://10.99.0.1:6443", ACCESS), where="x").text)
    assert after["current-context"] == after["clusters"][0]["name"] == name
