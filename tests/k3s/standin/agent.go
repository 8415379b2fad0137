package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

const containerdConfig = `version = 3
root = "{{.Root}}"
state = "/run/k3s/containerd"
oom_score = -999
[grpc]
address = "{{.Socket}}"
[plugins.'io.containerd.cri.v1.images']
snapshotter = "{{.Snapshotter}}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{{.Pause}}"
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
conf_dir = "{{.Networks}}"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{{.Runc}}"
SystemdCgroup = false
`

// runAgent makes this machine a node; it returns when the kubelet runs.
func runAgent(c Config, server Server) {
	setup := register(c, server)
	snapshotter := startContainerd(c)
	at := func(name string) string { return c.dir("agent", name) }
	for name, text := range setup.Files {
		write(at(name), text, 0o600)
	}
	config := func(name string) string { return at(name + ".kubeconfig") }
	for _, name := range []string{"kubelet", "kube-proxy", "k3s-controller"} {
		writeKubeconfig(config(strings.Replace(name, "kube-proxy", "kubeproxy", 1)), server.url, at("server-ca.crt"), at("client-"+name), 0o600)
	}
	importImages(c, snapshotter)
	startKubelet(c, setup, config("kubelet"))
	client := newClient(config("k3s-controller"))
	if !setup.NoProxy {
		children.start("kube-proxy", slices.Concat([]string{
			"--kubeconfig=" + config("kubeproxy"), "--proxy-mode=iptables", "--hostname-override=" + c.nodeName(),
			"--cluster-cidr=" + strings.Join(setup.Pods, ","), "--healthz-bind-address=127.0.0.1",
			"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
		}, c.extra("kube-proxy-arg"))...)
	}
	go introduce(c, client)
	if setup.Backend != "none" {
		go runFlannel(c, setup, client, config("k3s-controller"))
	}
}

// register asks for what a node must know. Its password shows later that it is the same machine.
func register(c Config, server Server) Setup {
	file := "/etc/rancher/node/password"
	if _, err := os.Stat(file); err != nil {
		write(file, []byte(newSecret()+"\n"), 0o600)
	}
	query := url.Values{"name": {c.nodeName()}, "ip": c.nodeIPs(), "password": {strings.TrimSpace(string(read(file)))}}
	var setup Setup
	server.demand("/v1-k3s/config", query, &setup)
	return setup
}

// join finds the servers by way of an address of the agent's own, so that it goes on when the first one is gone.
func join(c Config) Server {
	first, err := url.Parse(c.get("server", ""))
	if err != nil || first.Scheme != "https" {
		fatal("only https:// URLs are supported, invalid scheme: %s", c.get("server", ""))
	}
	file := c.dir("agent/etc/k3s-agent-load-balancer.json")
	known := []string{first.Host}
	if text, err := os.ReadFile(file); err == nil {
		check(json.Unmarshal(text, &known))
	}
	address := "127.0.0.1:" + c.get("lb-server-port", "6444")
	current := balance(address, known)
	server := meet("https://"+address, "node", parseToken(c.secret("token")))
	go func() {
		for ; ; time.Sleep(5 * time.Second) {
			var now []string
			text, err := server.ask("/v1-k3s/apiservers", nil)
			if err != nil || json.Unmarshal(text, &now) != nil || len(now) == 0 {
				continue
			}
			if before := <-current; !slices.Equal(before, now) {
				write(file, text, 0o600)
			}
			current <- now
		}
	}()
	return server
}

// balance passes connections on to the first of the servers that takes them. They are in the channel.
func balance(address string, servers []string) chan []string {
	listener, err := net.Listen("tcp", address)
	check(err)
	current := make(chan []string, 1)
	current <- servers
	go func() {
		for {
			here, err := listener.Accept()
			check(err)
			servers := <-current
			current <- servers
			go forward(here, servers)
		}
	}()
	return current
}

func forward(here net.Conn, servers []string) {
	defer here.Close()
	for _, one := range servers {
		there, err := net.DialTimeout("tcp", one, 2*time.Second)
		if err != nil {
			continue
		}
		defer there.Close()
		go func() { _, _ = io.Copy(there, here); there.Close() }()
		_, _ = io.Copy(here, there)
		return
	}
}

func startContainerd(c Config) string {
	root := c.dir("agent/containerd")
	check(os.MkdirAll(root, 0o711))
	snapshotter := c.get("snapshotter", "overlayfs")
	var system syscall.Statfs_t
	check(syscall.Statfs(root, &system))
	if system.Type == 0x794c7630 { // OVERLAYFS_SUPER_MAGIC
		snapshotter = "native" // an overlay can't be the upper layer of another
	}
	var text strings.Builder
	check(template.Must(template.New("").Parse(containerdConfig)).Execute(&text, map[string]string{
		"Root": root, "Socket": socket, "Snapshotter": snapshotter, "Runc": filepath.Join(Home, "runc"),
		"Pause":    c.get("pause-image", "docker.io/rancher/mirrored-pause:3.6"),
		"Networks": c.dir("agent/etc/cni/net.d"),
	}))
	file := c.dir("agent/etc/containerd/config.toml")
	write(file, []byte(text.String()), 0o600)
	log, err := os.OpenFile(filepath.Join(root, "containerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	check(err)
	command := exec.Command(filepath.Join(Home, "containerd"), "--config", file)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "PATH="+Home+":"+os.Getenv("PATH")) // the last one counts
	children.startProgram("containerd", command)
	until("containerd", func() error {
		return exec.Command(filepath.Join(Home, "ctr"), "--address", socket, "version").Run()
	})
	return snapshotter
}

// importImages loads the archives that the user has put there, and says which it can't read.
func importImages(c Config, snapshotter string) {
	dir := c.dir("agent/images")
	check(os.MkdirAll(dir, 0o755))
	files, err := os.ReadDir(dir)
	check(err)
	for _, one := range files {
		file, err := os.Open(filepath.Join(dir, one.Name()))
		check(err)
		var from io.Reader = file
		switch {
		case strings.HasSuffix(one.Name(), ".tar"):
		case strings.HasSuffix(one.Name(), ".tar.gz"), strings.HasSuffix(one.Name(), ".tgz"):
			from, err = gzip.NewReader(file)
			check(err)
		default:
			say("images: %s: the stand-in reads .tar, .tar.gz and .tgz", one.Name())
			file.Close()
			continue
		}
		load := exec.Command(filepath.Join(Home, "ctr"), "--address", socket, "--namespace", "k8s.io",
			"images", "import", "--local", "--snapshotter", snapshotter, "-")
		load.Stdin = from
		if said, err := load.CombinedOutput(); err != nil {
			say("images: %s: %v: %s", one.Name(), err, said)
		}
		file.Close()
	}
}

func startKubelet(c Config, setup Setup, kubeconfig string) {
	at := func(name string) string { return c.dir("agent", name) }
	resolver := c.get("resolv-conf", "/etc/resolv.conf")
	if text, err := os.ReadFile(resolver); err != nil || !strings.Contains(string(text), "nameserver") {
		resolver = at("etc/resolv.conf")
		write(resolver, []byte("nameserver 192.0.2.1\n"), 0o644) // k3s takes one of the internet's
	}
	settings := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true},
			"x509": map[string]any{"clientCAFile": at("client-ca.crt")},
		},
		"authorization": map[string]any{"mode": "Webhook"}, "cgroupDriver": "cgroupfs",
		"clusterDNS": setup.DNS, "clusterDomain": setup.Domain, "containerRuntimeEndpoint": "unix://" + socket,
		"evictionHard": map[string]any{"imagefs.available": "5%", "nodefs.available": "5%"},
		"failSwapOn":   false, "healthzBindAddress": "127.0.0.1",
		"tlsCertFile": at("serving-kubelet.crt"), "tlsPrivateKeyFile": at("serving-kubelet.key"),
		"serializeImagePulls": false, "resolvConf": resolver,
	}
	if !hasControllers() {
		settings["cgroupsPerQOS"], settings["enforceNodeAllocatable"], settings["cpuCFSQuota"] = false, []string{}, false
		settings["localStorageCapacityIsolation"] = false
	}
	text, err := yaml.Marshal(settings)
	check(err)
	write(at("etc/kubelet.yaml"), text, 0o600)
	flags := []string{
		"--config=" + at("etc/kubelet.yaml"), "--kubeconfig=" + kubeconfig, "--hostname-override=" + c.nodeName(),
		"--node-ip=" + strings.Join(c.nodeIPs(), ","),
	}
	if !setup.NoCloud {
		flags = append(flags, "--cloud-provider=external")
	}
	if labels := c.all("node-label"); len(labels) > 0 {
		flags = append(flags, "--node-labels="+strings.Join(labels, ","))
	}
	if taints := c.all("node-taint"); len(taints) > 0 {
		flags = append(flags, "--register-with-taints="+strings.Join(taints, ","))
	}
	children.start("kubelet", append(flags, c.extra("kubelet-arg")...)...)
	until("the kubelet", func() error {
		answer, err := http.Get("http://127.0.0.1:10248/healthz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", answer.Status)
		}
		return nil
	})
}

// introduce writes on the node's own object what the cloud controller is to make addresses of.
func introduce(c Config, client *kubernetes.Clientset) {
	ctx, annotations := context.Background(), map[string]any{
		"k3s.io/hostname": c.nodeName(), "k3s.io/internal-ip": strings.Join(c.nodeIPs(), ","),
	}
	if external := c.all("node-external-ip"); len(external) > 0 {
		annotations["k3s.io/external-ip"] = strings.Join(external, ",")
	}
	until("the node", func() error {
		_, err := client.CoreV1().Nodes().Get(ctx, c.nodeName(), meta.GetOptions{})
		return err
	})
	patchNode(ctx, client, c.nodeName(), map[string]any{"metadata": map[string]any{"annotations": annotations}})
}

// runFlannel starts it once the node has its pod range, and tells the CNI plugins what it has found.
func runFlannel(c Config, setup Setup, client *kubernetes.Clientset, kubeconfig string) {
	until("the node's pod range", func() error {
		node, err := client.CoreV1().Nodes().Get(context.Background(), c.nodeName(), meta.GetOptions{})
		if err == nil && node.Spec.PodCIDR == "" {
			err = fmt.Errorf("none yet")
		}
		return err
	})
	file := c.get("flannel-conf", c.dir("agent/etc/flannel/net-conf.json"))
	if c.get("flannel-conf", "") == "" {
		write(file, flannelConfig(setup), 0o600)
	}
	args := []string{
		"--kube-subnet-mgr", "--kubeconfig-file=" + kubeconfig, "--net-config-path=" + file, "--ip-masq",
		"--iface=" + c.get("flannel-iface", c.nodeIPs()[0]),
	}
	if setup.ExternalIP {
		for _, one := range c.all("node-external-ip") {
			if strings.Contains(one, ":") {
				args = append(args, "--public-ipv6="+one)
			} else {
				args = append(args, "--public-ip="+one)
			}
		}
	}
	os.Remove("/run/flannel/subnet.env") // of another range, perhaps
	command := exec.Command(filepath.Join(Home, "flannel"), args...)
	command.Env = append(os.Environ(), "NODE_NAME="+c.nodeName())
	children.startProgram("flannel", command)
	until("flannel's subnet", func() error {
		text, err := os.ReadFile("/run/flannel/subnet.env")
		if err == nil {
			write(c.dir("agent/etc/cni/net.d/10-flannel.conflist"), networks(string(text), setup), 0o600)
		}
		return err
	})
}

func flannelConfig(setup Setup) []byte {
	settings := map[string]any{"Network": "0.0.0.0/0", "IPv6Network": "::/0", "EnableIPv4": false, "EnableIPv6": false}
	for _, one := range setup.Pods {
		if strings.Contains(one, ":") {
			settings["IPv6Network"], settings["EnableIPv6"] = one, true
		} else {
			settings["Network"], settings["EnableIPv4"] = one, true
		}
	}
	kind := map[string]any{"Type": strings.TrimSuffix(setup.Backend, "-native")}
	if setup.Backend == "wireguard-native" {
		kind["PersistentKeepaliveInterval"] = 25
	}
	settings["Backend"] = kind
	text, err := json.Marshal(settings)
	check(err)
	return text
}

// networks is what flannel's own plugin would tell the plugin `bridge`.
func networks(environment string, setup Setup) []byte {
	values := map[string]string{}
	for _, line := range strings.Fields(environment) {
		key, value, _ := strings.Cut(line, "=")
		values[key] = value
	}
	var ranges, routes []any
	for _, key := range []string{"FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"} {
		if _, network, err := net.ParseCIDR(values[key]); err == nil {
			ranges = append(ranges, []any{map[string]string{"subnet": network.String()}})
		}
	}
	for _, one := range setup.Pods {
		routes = append(routes, map[string]string{"dst": one})
	}
	var mtu int
	_, err := fmt.Sscan(values["FLANNEL_MTU"], &mtu)
	check(err)
	text, err := json.MarshalIndent(map[string]any{"name": "cbr0", "cniVersion": "1.0.0", "plugins": []any{
		map[string]any{
			"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true,
			"forceAddress": true, "ipMasq": false, "mtu": mtu,
			"ipam": map[string]any{"type": "host-local", "ranges": ranges, "routes": routes},
		},
		map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
	}}, "", "  ")
	check(err)
	return text
}
