package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

const configFile = "/etc/rancher/k3s/config.yaml"

// The keys that are known, as in the reference of k3s's command line; each has a list of values, and only these
// may have more than one. What is accepted and has no effect here is in the README.
var agentKeys = strings.Fields(`data-dir server token token-file node-name node-ip node-external-ip flannel-iface
	flannel-conf flannel-cni-conf node-label* node-taint* kubelet-arg* kube-proxy-arg* resolv-conf snapshotter
	prefer-bundled-bin with-node-id debug v selinux protect-kernel-defaults pause-image lb-server-port`)

var serverKeys = append(strings.Fields(`cluster-init agent-token agent-token-file advertise-address bind-address
	tls-san* cluster-cidr* service-cidr* cluster-dns* cluster-domain flannel-backend flannel-external-ip
	flannel-ipv6-masq disable* disable-network-policy disable-kube-proxy disable-cloud-controller
	disable-helm-controller write-kubeconfig write-kubeconfig-mode write-kubeconfig-group kube-apiserver-arg*
	kube-controller-manager-arg* kube-scheduler-arg* etcd-arg* datastore-endpoint datastore-cafile
	datastore-certfile datastore-keyfile tls-san-security egress-selector-mode etcd-disable-snapshots
	etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-expose-metrics secrets-encryption
	embedded-registry supervisor-metrics https-listen-port`), agentKeys...)

var backends = []string{"vxlan", "host-gw", "wireguard-native", "none"}

// Config has the values of each key; a key that is not there has none.
type Config map[string][]string

// load reads the configuration file, its drop-ins, the environment and the command line, in that order.
func load(role string, args []string) Config {
	config := Config{}
	file := configFile
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--config="); ok {
			file = value
		} else if (arg == "--config" || arg == "-c") && i+1 < len(args) {
			file = args[i+1]
		}
	}
	drops, _ := filepath.Glob(file + ".d/*.yaml")
	slices.Sort(drops)
	for _, one := range append([]string{file}, drops...) {
		text, err := os.ReadFile(one)
		if os.IsNotExist(err) {
			continue
		}
		check(err)
		var values map[string]any
		if err := yaml.Unmarshal(text, &values); err != nil {
			fatal("%s: %v", one, err)
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			config.set(role, strings.TrimSuffix(key, "+"), strings.HasSuffix(key, "+"), words(values[key]), one)
		}
	}
	for variable, key := range map[string]string{
		"K3S_TOKEN": "token", "K3S_TOKEN_FILE": "token-file", "K3S_URL": "server", "K3S_AGENT_TOKEN": "agent-token",
		"K3S_AGENT_TOKEN_FILE": "agent-token-file", "K3S_NODE_NAME": "node-name",
		"K3S_DATASTORE_ENDPOINT": "datastore-endpoint",
	} {
		if value := os.Getenv(variable); value != "" && (role == "server" || !strings.Contains(key, "agent-token")) {
			config.set(role, key, false, []string{value}, "$"+variable)
		}
	}
	seen := map[string]bool{}
	for i := 0; i < len(args); i++ {
		key, value, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !has && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			value = args[i]
		} else if !has {
			value = "true"
		}
		if key != "config" && key != "c" {
			config.set(role, key, seen[key], []string{value}, "the command line")
			seen[key] = true
		}
	}
	return config
}

func words(value any) []string {
	switch value := value.(type) {
	case nil:
		return nil
	case []any:
		var all []string
		for _, one := range value {
			all = append(all, fmt.Sprint(one))
		}
		return all
	case float64:
		return []string{strconv.FormatFloat(value, 'f', -1, 64)}
	default:
		return []string{fmt.Sprint(value)}
	}
}

func (c Config) set(role, key string, add bool, values []string, where string) {
	known := agentKeys
	if role == "server" {
		known = serverKeys
	}
	list := slices.Contains(known, key+"*")
	if !list && !slices.Contains(known, key) {
		fatal("%s: unknown key %q for a k3s %s", where, key, role)
	}
	if !list && len(values) > 1 && key != "node-ip" && key != "node-external-ip" {
		fatal("%s: %s takes one value, not %d", where, key, len(values))
	}
	if add {
		values = append(slices.Clone(c[key]), values...)
	}
	c[key] = values
}

// all has each value of a key, also those that stand in one word with commas between them.
func (c Config) all(key string, otherwise ...string) []string {
	var found []string
	for _, value := range c[key] {
		found = append(found, strings.Split(value, ",")...)
	}
	if len(found) == 0 {
		return otherwise
	}
	return found
}

func (c Config) get(key string, otherwise string) string {
	if values := c[key]; len(values) > 0 && values[0] != "" {
		return values[0]
	}
	return otherwise
}

func (c Config) is(key string) bool { return c.get(key, "false") == "true" }

// secret is the value of a key, or what is in the file that its neighbour names.
func (c Config) secret(key string) string {
	if file := c.get(key+"-file", ""); file != "" {
		text, err := os.ReadFile(file)
		check(err)
		return strings.TrimSpace(string(text))
	}
	return c.get(key, "")
}

func (c Config) dir(parts ...string) string {
	return filepath.Join(append([]string{c.get("data-dir", "/var/lib/rancher/k3s")}, parts...)...)
}

func (c Config) nodeName() string {
	host, err := os.Hostname()
	check(err)
	return strings.ToLower(c.get("node-name", host))
}

// nodeIPs are the addresses of the node, the first one for what has only one.
func (c Config) nodeIPs() []string {
	if given := c.all("node-ip"); len(given) > 0 {
		return given
	}
	addresses, err := net.InterfaceAddrs()
	check(err)
	for _, one := range addresses {
		if network, ok := one.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			return []string{network.IP.String()}
		}
	}
	fatal("this machine has no address: set node-ip")
	return nil
}

func (c Config) advertised() string { return c.get("advertise-address", c.nodeIPs()[0]) }

// extra are the arguments of a component that the user adds, as flags.
func (c Config) extra(key string) []string {
	var flags []string
	for _, one := range c[key] {
		flags = append(flags, "--"+strings.TrimLeft(one, "-"))
	}
	return flags
}

// write puts a file down, and makes its directory.
func write(file string, text []byte, mode os.FileMode) {
	check(os.MkdirAll(filepath.Dir(file), 0o755))
	check(os.WriteFile(file, text, mode))
	check(os.Chmod(file, mode))
}
