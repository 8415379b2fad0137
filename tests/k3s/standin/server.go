package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"embed"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

//go:embed manifests
var manifests embed.FS

func run(role string, args []string) {
	config := load(role, args)
	if backend := config.get("flannel-backend", "vxlan"); !slices.Contains(backends, backend) {
		fatal("Cannot configure unknown flannel backend '%s'", backend)
	}
	unpack()
	supervise(func() {
		if role == "server" {
			runServer(config)
		} else {
			runAgent(config, join(config))
		}
		notifyReady()
	})
}

func runServer(c Config) {
	tls := c.dir("server/tls")
	secret, others := establish(c, tls)
	agentSecret := parseToken(c.secret("agent-token")).secret
	if agentSecret == "" {
		agentSecret = secret
	}
	authority := read(filepath.Join(tls, "server-ca.crt"))
	write(c.dir("server/token"), formatToken(authority, "server", secret), 0o600)
	write(c.dir("server/agent-token"), formatToken(authority, "node", agentSecret), 0o600)
	os.Remove(c.dir("server/node-token"))
	check(os.Symlink(c.dir("server/token"), c.dir("server/node-token")))

	names := append([]string{
		"127.0.0.1", "::1", "127.0.0.2", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + c.get("cluster-domain", "cluster.local"), c.nodeName(), c.advertised(),
	}, slices.Concat(c.nodeIPs(), c.all("node-external-ip"), c.all("tls-san"), firstOf(c.all("service-cidr", "10.43.0.0/16")))...)
	makeCertificates(tls, names)
	here := "https://127.0.0.1:6443"
	admin := c.get("write-kubeconfig", "/etc/rancher/k3s/k3s.yaml")
	var mode os.FileMode = 0o600
	if text := c.get("write-kubeconfig-mode", ""); text != "" {
		_, err := fmt.Sscanf(text, "%o", &mode)
		check(err)
	}
	writeKubeconfig(admin, here, filepath.Join(tls, "server-ca.crt"), filepath.Join(tls, "client-admin"), mode)
	for _, name := range []string{"controller", "scheduler"} {
		user := filepath.Join(tls, "client-"+name)
		writeKubeconfig(c.dir("server/cred/"+name+".kubeconfig"), "https://"+apiServer, filepath.Join(tls, "server-ca.crt"), user, 0o600)
	}
	supervisor := &Supervisor{config: c, tls: tls, secret: secret, agentSecret: agentSecret, client: newClient(admin)}
	supervisor.listen(names)
	if c.get("datastore-endpoint", "") == "" {
		startEtcd(c, tls, others)
	}
	trusting := newHTTP(clientTLS(filepath.Join(tls, "server-ca"), filepath.Join(tls, "client-admin")))
	startControlPlane(c, tls, Server{url: "https://" + apiServer, client: trusting})
	supervisor.ready.Store(true)
	deployManifests(c)
	go tend(c, tls, supervisor.client)
	runAgent(c, Server{here, "node", agentSecret, trusting})
}

// establish sees to it that the authorities' files are there: kept, fetched from the datastore or a server, or made.
// It returns the secret of the token, and the client URLs of etcd where this server is to join it.
func establish(c Config, tls string) (string, []string) {
	given, secretFile := parseToken(c.secret("token")), c.dir("server/cred/secret")
	secret, store := given.secret, c.get("datastore-endpoint", "")
	if kept, err := os.ReadFile(secretFile); err == nil {
		if secret != "" && secret != string(kept) {
			fatal("bootstrap data already found and encrypted with different token")
		}
		// Etcd may not have been joined yet when this ended the last time.
		if _, err := os.Stat(c.dir("server/db/etcd/member")); err == nil || store != "" || c.get("server", "") == "" {
			return string(kept), nil
		}
	}
	var found Bootstrap
	switch {
	case c.get("server", "") != "" && store == "":
		server := meet(c.get("server", ""), "server", given)
		server.demand("/v1-k3s/server-bootstrap", nil, &found)
	default:
		if secret == "" {
			secret = newSecret()
		}
		for _, name := range authorities {
			makeAuthority(filepath.Join(tls, name), name)
		}
		makeServiceKey(filepath.Join(tls, "service.key"))
		if store != "" {
			found.Files = agreeOn(c, (&Supervisor{tls: tls}).files(), secret)
		}
	}
	for name, text := range found.Files {
		write(filepath.Join(tls, name), text, 0o600)
	}
	check(os.MkdirAll(c.dir("server/cred"), 0o700))
	write(secretFile, []byte(secret), 0o600)
	return secret, found.Members
}

// agreeOn has the authorities' files of the server that came to an external etcd first.
func agreeOn(c Config, ours map[string][]byte, secret string) map[string][]byte {
	text, err := json.Marshal(ours)
	check(err)
	client := storeClient(c)
	defer client.Close()
	until("the datastore", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		text, err = putOnce(ctx, client, "/bootstrap/"+hashOf([]byte(secret))[:12], text)
		return err
	})
	var files map[string][]byte
	check(json.Unmarshal(text, &files))
	return files
}

func makeServiceKey(file string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	private, err := x509.MarshalECPrivateKey(key)
	check(err)
	write(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}

// makeCertificates are this server's own, made anew at each start.
func makeCertificates(tls string, names []string) {
	at := func(name string) string { return filepath.Join(tls, name) }
	issue(at("server-ca"), at("serving-kube-apiserver"), "kube-apiserver", nil, names)
	issue(at("client-ca"), at("client-admin"), "system:admin", []string{"system:masters"}, nil)
	issue(at("client-ca"), at("client-controller"), "system:kube-controller-manager", nil, nil)
	issue(at("client-ca"), at("client-scheduler"), "system:kube-scheduler", nil, nil)
	issue(at("client-ca"), at("client-kube-apiserver"), "system:apiserver", []string{"system:masters"}, nil)
	issue(at("request-header-ca"), at("client-auth-proxy"), "system:auth-proxy", nil, nil)
	issue(at("etcd/server-ca"), at("etcd/client"), "etcd-client", nil, nil)
	issue(at("etcd/server-ca"), at("etcd/server-client"), "etcd-server", nil, names)
	issue(at("etcd/peer-ca"), at("etcd/peer-client"), "etcd-peer", nil, names)
}

// firstOf has the first address of each range: the service `kubernetes` gets it.
func firstOf(ranges []string) []string {
	var found []string
	for _, one := range ranges {
		ip, _, err := net.ParseCIDR(one)
		check(err)
		ip[len(ip)-1]++
		found = append(found, ip.String())
	}
	return found
}

func startControlPlane(c Config, tls string, server Server) {
	at := func(name string) string { return filepath.Join(tls, name) }
	host, port, _ := net.SplitHostPort(apiServer)
	store := []string{
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + at("etcd/server-ca.crt"),
		"--etcd-certfile=" + at("etcd/client.crt"), "--etcd-keyfile=" + at("etcd/client.key"),
	}
	if given := c.get("datastore-endpoint", ""); given != "" {
		store = []string{"--etcd-servers=" + given}
		for key, flag := range map[string]string{"cafile": "cafile", "certfile": "certfile", "keyfile": "keyfile"} {
			if file := c.get("datastore-"+key, ""); file != "" {
				store = append(store, "--etcd-"+flag+"="+file)
			}
		}
	}
	issuer := "https://kubernetes.default.svc." + c.get("cluster-domain", "cluster.local")
	services := "--service-cluster-ip-range=" + strings.Join(c.all("service-cidr", "10.43.0.0/16"), ",")
	children.start("kube-apiserver", slices.Concat(store, []string{
		"--bind-address=" + host, "--secure-port=" + port, "--permit-port-sharing",
		"--advertise-address=" + c.advertised(), services,
		"--allow-privileged", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--anonymous-auth=false", "--profiling=false",
		"--service-account-issuer=" + issuer, "--api-audiences=" + issuer + ",k3s",
		"--service-account-signing-key-file=" + at("service.key"), "--service-account-key-file=" + at("service.key"),
		"--tls-cert-file=" + at("serving-kube-apiserver.crt"), "--tls-private-key-file=" + at("serving-kube-apiserver.key"),
		"--client-ca-file=" + at("client-ca.crt"), "--kubelet-certificate-authority=" + at("server-ca.crt"),
		"--kubelet-client-certificate=" + at("client-kube-apiserver.crt"),
		"--kubelet-client-key=" + at("client-kube-apiserver.key"),
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
		"--requestheader-client-ca-file=" + at("request-header-ca.crt"), "--requestheader-allowed-names=system:auth-proxy",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + at("client-auth-proxy.crt"), "--proxy-client-key-file=" + at("client-auth-proxy.key"),
	}, c.extra("kube-apiserver-arg"))...)
	until("the API server", func() error {
		_, err := server.ask("/readyz", nil)
		return err
	})
	config := func(name string) string { return c.dir("server/cred/" + name + ".kubeconfig") }
	same := func(name string) []string {
		return []string{
			"--kubeconfig=" + config(name), "--authentication-kubeconfig=" + config(name),
			"--authorization-kubeconfig=" + config(name), "--bind-address=127.0.0.1", "--profiling=false",
		}
	}
	ca, key := at("client-ca.crt"), at("client-ca.key")
	children.start("kube-controller-manager", slices.Concat(same("controller"), []string{
		"--allocate-node-cidrs", "--cluster-cidr=" + strings.Join(c.all("cluster-cidr", "10.42.0.0/16"), ","), services,
		"--service-account-private-key-file=" + at("service.key"), "--root-ca-file=" + at("server-ca.crt"),
		"--use-service-account-credentials", "--controllers=*,tokencleaner",
		"--cluster-signing-cert-file=" + ca, "--cluster-signing-key-file=" + key,
	}, c.extra("kube-controller-manager-arg"))...)
	children.start("kube-scheduler", slices.Concat(same("scheduler"), c.extra("kube-scheduler-arg"))...)
}

// deployManifests writes those that come with it, and applies what is in the directory whenever it changes.
func deployManifests(c Config) {
	dir := c.dir("server/manifests")
	check(os.MkdirAll(dir, 0o700))
	known, err := manifests.ReadDir("manifests")
	check(err)
	for _, one := range known {
		text, err := manifests.ReadFile("manifests/" + one.Name())
		check(err)
		text = bytes.ReplaceAll(text, []byte("%{CLUSTER_DNS}%"), []byte(c.all("cluster-dns", "10.43.0.10")[0]))
		text = bytes.ReplaceAll(text, []byte("%{CLUSTER_DOMAIN}%"), []byte(c.get("cluster-domain", "cluster.local")))
		if file := filepath.Join(dir, one.Name()); slices.Contains(c.all("disable"), strings.TrimSuffix(one.Name(), ".yaml")) {
			os.Remove(file)
		} else {
			write(file, text, 0o600)
		}
	}
	go func() {
		applied := map[string]string{}
		for ; ; time.Sleep(2 * time.Second) {
			files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
			for _, file := range files {
				if text, err := os.ReadFile(file); err == nil && applied[file] != string(text) {
					if err := apply(file); err != nil {
						say("%s: %v", file, err)
						continue
					}
					applied[file] = string(text)
				}
			}
		}
	}()
}

func apply(file string) error {
	self, err := os.Executable()
	check(err)
	said, err := exec.Command(self, "kubectl", "apply", "--server-side", "--force-conflicts", "--filename", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// tend does what k3s's controllers do: the nodes' addresses, the roles of this one, etcd's members, passwords.
func tend(c Config, tls string, client *kubernetes.Clientset) {
	ctx, seen := context.Background(), map[string]bool{}
	for ; ; time.Sleep(time.Second) {
		nodes, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
		if err != nil {
			say("nodes: %v", err)
			continue
		}
		now := map[string]bool{}
		for _, node := range nodes.Items {
			now[node.Name], seen[node.Name] = true, true
			if !c.is("disable-cloud-controller") {
				locate(ctx, client, node)
			}
			if node.Name == c.nodeName() && node.Labels["node-role.kubernetes.io/control-plane"] == "" {
				patchNode(ctx, client, node.Name, roles(c, tls))
			}
			if node.Name == c.nodeName() && embedded(c) {
				tellVote(ctx, client, node, votes(tls, memberName(c)))
			}
		}
		gone := func(name string) bool { return seen[name] && !now[name] }
		if embedded(c) {
			if err := tendMembers(tls, gone); err != nil {
				say("etcd: %v", err)
				continue
			}
		}
		for name := range seen {
			if gone(name) {
				_ = client.CoreV1().Secrets("kube-system").Delete(ctx, name+".node-password.k3s", meta.DeleteOptions{})
				delete(seen, name)
			}
		}
	}
}

func roles(c Config, tls string) map[string]any {
	labels := map[string]any{"node-role.kubernetes.io/control-plane": "true"}
	annotations := map[string]any{}
	if embedded(c) {
		labels["node-role.kubernetes.io/etcd"] = "true"
		annotations["etcd.k3s.cattle.io/node-name"] = memberName(c)
		annotations["etcd.k3s.cattle.io/node-address"] = c.advertised()
	}
	return map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}}
}

// tellVote keeps the condition by which k3s tells whether a server's member of etcd has a vote.
func tellVote(ctx context.Context, client *kubernetes.Clientset, node core.Node, votes bool) {
	const kind = "EtcdIsVoter"
	status, reason := core.ConditionFalse, "MemberIsLearner"
	if votes {
		status, reason = core.ConditionTrue, "MemberNotLearner"
	}
	told := func(one core.NodeCondition) bool { return one.Type == kind && one.Status == status }
	if slices.ContainsFunc(node.Status.Conditions, told) {
		return
	}
	condition := core.NodeCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: meta.Now(), LastHeartbeatTime: meta.Now()}
	text, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []core.NodeCondition{condition}}})
	check(err)
	_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, text, meta.PatchOptions{}, "status")
	if err != nil {
		say("condition of %s: %v", node.Name, err)
	}
}

// locate is the cloud controller: it gives a node its addresses, and takes the taint away that it waited with.
func locate(ctx context.Context, client *kubernetes.Clientset, node core.Node) {
	internal := node.Annotations["k3s.io/internal-ip"]
	if internal == "" {
		return
	}
	addresses := []core.NodeAddress{}
	for kind, list := range map[core.NodeAddressType]string{
		core.NodeInternalIP: internal, core.NodeExternalIP: node.Annotations["k3s.io/external-ip"],
		core.NodeHostName: node.Annotations["k3s.io/hostname"],
	} {
		for _, one := range strings.Split(list, ",") {
			if one != "" {
				addresses = append(addresses, core.NodeAddress{Type: kind, Address: one})
			}
		}
	}
	order := []core.NodeAddressType{core.NodeInternalIP, core.NodeExternalIP, core.NodeHostName}
	slices.SortStableFunc(addresses, func(a, b core.NodeAddress) int {
		return slices.Index(order, a.Type) - slices.Index(order, b.Type)
	})
	if !slices.Equal(addresses, node.Status.Addresses) {
		patch := map[string]any{"status": map[string]any{"addresses": addresses}}
		text, err := json.Marshal(patch)
		check(err)
		_, err = client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, text, meta.PatchOptions{}, "status")
		if err != nil {
			say("addresses of %s: %v", node.Name, err)
			return
		}
	}
	fresh := func(taint core.Taint) bool { return taint.Key == "node.cloudprovider.kubernetes.io/uninitialized" }
	if slices.ContainsFunc(node.Spec.Taints, fresh) {
		patchNode(ctx, client, node.Name, map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"node.kubernetes.io/instance-type": "k3s"}},
			"spec": map[string]any{
				"taints": slices.DeleteFunc(slices.Clone(node.Spec.Taints), fresh), "providerID": "k3s://" + node.Name,
			},
		})
	}
}

func patchNode(ctx context.Context, client *kubernetes.Clientset, name string, patch map[string]any) {
	text, err := json.Marshal(patch)
	check(err)
	if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, text, meta.PatchOptions{}); err != nil {
		say("node %s: %v", name, err)
	}
}
