package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/v3"
	"sigs.k8s.io/yaml"
)

// embedded tells whether this server's etcd is one of several, or may become it.
func embedded(c Config) bool {
	return c.get("datastore-endpoint", "") == "" && (c.is("cluster-init") || c.get("server", "") != "")
}

func etcdClient(tls string, endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: 5 * time.Second,
		TLS: clientTLS(filepath.Join(tls, "etcd/server-ca"), filepath.Join(tls, "etcd/client")),
	})
}

func listMembers(tls string) ([]*etcdserverpb.Member, error) {
	client, err := etcdClient(tls, "https://127.0.0.1:2379")
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	return found.Members, nil
}

// memberName is this server's name in etcd: the node's, and something that a new data directory has anew.
func memberName(c Config) string {
	file := c.dir("server/db/etcd/name")
	if text, err := os.ReadFile(file); err == nil {
		return string(text)
	}
	name := c.nodeName() + "-" + newSecret()[:8]
	check(os.MkdirAll(filepath.Dir(file), 0o700))
	write(file, []byte(name), 0o600)
	return name
}

// startEtcd starts the member, new or again, or as one more of those whose client URLs are `others`.
func startEtcd(c Config, tls string, others []string) {
	name, dir := memberName(c), c.dir("server/db/etcd")
	check(os.Chmod(dir, 0o700))
	address := c.advertised()
	peer := "https://" + net.JoinHostPort(address, "2380")
	cluster, state := name+"="+peer, "new"
	_, err := os.Stat(filepath.Join(dir, "member", "wal"))
	joins := os.IsNotExist(err) && len(others) > 0
	if joins {
		until("etcd to take us in", func() (err error) { cluster, err = addMember(c, tls, name, peer, others); return err })
		state = "existing"
	}
	protect := func(kind string) map[string]any {
		file := filepath.Join(tls, "etcd")
		return map[string]any{
			"client-cert-auth": true, "trusted-ca-file": filepath.Join(file, kind+"-ca.crt"),
			"cert-file": filepath.Join(file, kind+"-client.crt"), "key-file": filepath.Join(file, kind+"-client.key"),
		}
	}
	settings := map[string]any{
		"name": name, "data-dir": dir, "initial-cluster": cluster, "initial-cluster-state": state,
		"listen-client-urls":          "https://127.0.0.1:2379,https://" + net.JoinHostPort(address, "2379"),
		"listen-peer-urls":            "https://127.0.0.1:2380," + peer,
		"listen-metrics-urls":         "http://127.0.0.1:2381",
		"advertise-client-urls":       "https://" + net.JoinHostPort(address, "2379"),
		"initial-advertise-peer-urls": peer, "heartbeat-interval": 500, "election-timeout": 5000,
		"client-transport-security": protect("server"), "peer-transport-security": protect("peer"),
		"log-level": "error", "logger": "zap", "log-outputs": []string{"stderr"},
	}
	for _, one := range c["etcd-arg"] {
		key, value, _ := strings.Cut(strings.TrimLeft(one, "-"), "=")
		var typed any
		check(yaml.Unmarshal([]byte(value), &typed))
		settings[key] = typed
	}
	text, err := yaml.Marshal(settings)
	check(err)
	write(filepath.Join(dir, "config"), text, 0o600)
	children.start("etcd", "--config-file="+filepath.Join(dir, "config"))
	// A learner answers only once a member has made it a voter.
	until("etcd", func() error { _, err := listMembers(tls); return err })
}

// addMember makes us a learner, unless we are in already, and tells who all are. It refuses what k3s refuses.
func addMember(c Config, tls, name, peer string, others []string) (string, error) {
	client, err := etcdClient(tls, others...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	found, err := client.MemberList(ctx)
	if err != nil {
		return "", err
	}
	var cluster []string
	add := true
	for _, member := range found.Members {
		first, err := url.Parse(member.PeerURLs[0])
		check(err)
		if member.Name == "" && first.Hostname() == c.advertised() {
			member.Name = name // it was us, before we had started once
		}
		add = add && member.Name != name
		if at := strings.LastIndex(member.Name, "-"); member.Name != name && at > 0 && member.Name[:at] == c.nodeName() {
			check(os.Remove(c.dir("server/db/etcd/name")))
			fatal("ETCD join failed: duplicate node name found, please use a unique name for this node")
		}
		cluster = append(cluster, member.Name+"="+member.PeerURLs[0])
	}
	if add {
		say("Adding member %s=%s to etcd cluster %v", name, peer, cluster)
		if _, err := client.MemberAddAsLearner(ctx, []string{peer}); err != nil {
			if strings.Contains(err.Error(), "Peer URLs already exists") {
				fatal("ETCD join failed: %v", err)
			}
			return "", err
		}
		cluster = append(cluster, name+"="+peer)
	}
	return strings.Join(cluster, ","), nil
}

// tendMembers makes voters of learners, and takes out of etcd those whose nodes were there and are no more.
func tendMembers(tls string, gone func(node string) bool) error {
	members, err := listMembers(tls)
	if err != nil {
		return err
	}
	client, err := etcdClient(tls, "https://127.0.0.1:2379")
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, member := range members {
		at := strings.LastIndex(member.Name, "-")
		if at > 0 && gone(member.Name[:at]) {
			say("Removing member %s from etcd: its node was deleted", member.Name)
			if _, err := client.MemberRemove(ctx, member.ID); err != nil {
				return err
			}
		} else if member.IsLearner && member.Name != "" {
			// Refused as long as it is behind.
			if _, err := client.MemberPromote(ctx, member.ID); err == nil {
				say("Promoted member %s of etcd", member.Name)
			}
		}
	}
	return nil
}

// votes tells whether the member of that name is there, and no learner any more.
func votes(tls, name string) bool {
	members, err := listMembers(tls)
	return err == nil && slices.ContainsFunc(members, func(one *etcdserverpb.Member) bool {
		return one.Name == name && !one.IsLearner
	})
}

func storeClient(c Config) *clientv3.Client {
	transport := transport.TLSInfo{
		TrustedCAFile: c.get("datastore-cafile", ""), CertFile: c.get("datastore-certfile", ""),
		KeyFile: c.get("datastore-keyfile", ""),
	}
	secure, err := transport.ClientConfig()
	check(err)
	client, err := clientv3.New(clientv3.Config{Endpoints: c.all("datastore-endpoint"), DialTimeout: 5 * time.Second, TLS: secure})
	check(err)
	return client
}

// putOnce stores a value unless there is one; the value that is there then.
func putOnce(ctx context.Context, client *clientv3.Client, key string, value []byte) ([]byte, error) {
	done, err := client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(value))).Else(clientv3.OpGet(key)).Commit()
	if err != nil || done.Succeeded {
		return value, err
	}
	return done.Responses[0].GetResponseRange().Kvs[0].Value, nil
}
