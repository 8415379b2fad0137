package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The API server itself listens here; all addresses of the machine, on the same port, are the supervisor's. It has
// the port that the service `kubernetes` shall advertise: upstream, unlike k3s's fork, can't advertise another.
const apiServer = "127.0.0.2:6443"

// Setup is what a node gets to know of its cluster: what all have in common, and its own certificates.
type Setup struct {
	Pods, Services, DNS                    []string
	Domain, Backend                        string
	ExternalIP, IPv6Masq, NoCloud, NoProxy bool
	Files                                  map[string][]byte
}

// Bootstrap is what a server gets that joins: the files of all authorities, and who is in etcd.
type Bootstrap struct {
	Files   map[string][]byte
	Members []string
}

// Supervisor answers on 6443, before and beside the API server.
type Supervisor struct {
	config                   Config
	tls, secret, agentSecret string
	client                   *kubernetes.Clientset
	ready                    atomic.Bool
}

func (s *Supervisor) listen(names []string) {
	file := filepath.Join(s.tls, "serving-supervisor")
	issue(filepath.Join(s.tls, "server-ca"), file, "k3s", nil, names)
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	check(err)
	share := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		const reusePort = 15 // SO_REUSEPORT, which package syscall lacks
		return raw.Control(func(handle uintptr) {
			check(syscall.SetsockoptInt(int(handle), syscall.SOL_SOCKET, reusePort, 1))
		})
	}}
	listener, err := share.Listen(context.Background(), "tcp", ":6443")
	check(err)
	server := &http.Server{Handler: s.routes(), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    pool(read(filepath.Join(s.tls, "client-ca.crt"))),
	}}
	go func() { check(server.ServeTLS(listener, "", "")) }()
}

func (s *Supervisor) routes() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pong") })
	routes.HandleFunc("/cacerts", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(read(filepath.Join(s.tls, "server-ca.crt")))
	})
	routes.HandleFunc("/v1-k3s/server-bootstrap", s.only(s.bootstrap, s.secret))
	routes.HandleFunc("/v1-k3s/config", s.only(s.setup, s.secret, s.agentSecret))
	routes.HandleFunc("/v1-k3s/apiservers", s.only(s.apiServers, s.secret, s.agentSecret))
	proxy := s.proxy()
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// Before the API server listens on its address, this one here is what a connection to it would reach.
		if s.ready.Load() {
			proxy.ServeHTTP(w, r)
		} else {
			http.Error(w, "apiserver not ready", http.StatusServiceUnavailable)
		}
	})
	return routes
}

// only lets in who knows one of the secrets.
func (s *Supervisor) only(
	answer func(*http.Request) (any, int, error), secrets ...string,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		for _, secret := range secrets {
			if subtle.ConstantTimeCompare([]byte(password), []byte(secret)) == 1 {
				found, status, err := answer(r)
				if err != nil {
					http.Error(w, err.Error(), status)
					return
				}
				check(json.NewEncoder(w).Encode(found))
				return
			}
		}
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	}
}

// proxy passes all else on to the API server, with the name of the certificate's holder.
func (s *Supervisor) proxy() http.Handler {
	config := clientTLS(filepath.Join(s.tls, "server-ca"), filepath.Join(s.tls, "client-auth-proxy"))
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 100},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: apiServer})
			r.Out.Host = r.In.Host
			for name := range r.Out.Header {
				if strings.HasPrefix(name, "X-Remote-") {
					r.Out.Header.Del(name)
				}
			}
			if chains := r.In.TLS.VerifiedChains; len(chains) > 0 {
				r.Out.Header.Set("X-Remote-User", chains[0][0].Subject.CommonName)
				r.Out.Header["X-Remote-Group"] = chains[0][0].Subject.Organization
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "apiserver not ready", http.StatusServiceUnavailable)
		},
	}
}

func (s *Supervisor) bootstrap(*http.Request) (any, int, error) {
	if s.config.get("datastore-endpoint", "") == "" && !embedded(s.config) {
		return nil, http.StatusBadRequest, fmt.Errorf("etcd disabled: this server has no cluster-init")
	}
	found := Bootstrap{Files: s.files()}
	if s.config.get("datastore-endpoint", "") == "" {
		members, err := listMembers(s.tls)
		if err != nil {
			return nil, http.StatusServiceUnavailable, err
		}
		for _, member := range members {
			found.Members = append(found.Members, member.ClientURLs...)
		}
	}
	return found, 0, nil
}

// files are those that all servers have in common.
func (s *Supervisor) files() map[string][]byte {
	files := map[string][]byte{"service.key": read(filepath.Join(s.tls, "service.key"))}
	for _, name := range authorities {
		for _, ending := range []string{".crt", ".key"} {
			files[name+ending] = read(filepath.Join(s.tls, name+ending))
		}
	}
	return files
}

func (s *Supervisor) apiServers(*http.Request) (any, int, error) {
	slices, err := s.client.CoreV1().Endpoints("default").Get(context.Background(), "kubernetes", meta.GetOptions{})
	if err != nil {
		return nil, http.StatusServiceUnavailable, err
	}
	var found []string
	for _, subset := range slices.Subsets {
		for _, one := range subset.Addresses {
			found = append(found, net.JoinHostPort(one.IP, "6443"))
		}
	}
	return found, 0, nil
}

// setup makes a node's certificates, if the node is who it was when it first came.
func (s *Supervisor) setup(r *http.Request) (any, int, error) {
	query := r.URL.Query()
	name := query.Get("name")
	if status, err := s.recognise(name, query.Get("password")); err != nil {
		return nil, status, err
	}
	dir, err := os.MkdirTemp("", "k3s-node")
	if err != nil {
		return nil, http.StatusInternalServerError, err
	}
	defer os.RemoveAll(dir)
	user, names := "system:node:"+name, append([]string{name, "127.0.0.1"}, query["ip"]...)
	clients, servers := filepath.Join(s.tls, "client-ca"), filepath.Join(s.tls, "server-ca")
	issue(servers, filepath.Join(dir, "serving-kubelet"), user, nil, names)
	issue(clients, filepath.Join(dir, "client-kubelet"), user, []string{"system:nodes"}, nil)
	issue(clients, filepath.Join(dir, "client-kube-proxy"), "system:kube-proxy", nil, nil)
	issue(clients, filepath.Join(dir, "client-k3s-controller"), "system:k3s-controller", nil, nil)
	setup := s.common()
	setup.Files = map[string][]byte{"server-ca.crt": read(servers + ".crt"), "client-ca.crt": read(clients + ".crt")}
	made, err := os.ReadDir(dir)
	check(err)
	for _, one := range made {
		setup.Files[one.Name()] = read(filepath.Join(dir, one.Name()))
	}
	return setup, 0, nil
}

func (s *Supervisor) common() Setup {
	c := s.config
	return Setup{
		Pods: c.all("cluster-cidr", "10.42.0.0/16"), Services: c.all("service-cidr", "10.43.0.0/16"),
		DNS: c.all("cluster-dns", "10.43.0.10"), Domain: c.get("cluster-domain", "cluster.local"),
		Backend: c.get("flannel-backend", "vxlan"), ExternalIP: c.is("flannel-external-ip"),
		IPv6Masq: c.is("flannel-ipv6-masq"), NoCloud: c.is("disable-cloud-controller"),
		NoProxy: c.is("disable-kube-proxy"),
	}
}

// recognise compares the node's password with the one that it, or another of its name, came with first.
func (s *Supervisor) recognise(name, password string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	secrets, title := s.client.CoreV1().Secrets("kube-system"), name+".node-password.k3s"
	found, err := secrets.Get(ctx, title, meta.GetOptions{})
	if errors.IsNotFound(err) {
		made := &core.Secret{StringData: map[string]string{"hash": hashOf([]byte(password))}}
		made.Name = title
		_, err = secrets.Create(ctx, made, meta.CreateOptions{})
	} else if err == nil && string(found.Data["hash"]) != hashOf([]byte(password)) {
		return http.StatusForbidden, fmt.Errorf("Node password rejected, duplicate hostname or contents of " +
			"'/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name " +
			"with the --with-node-id flag")
	}
	return http.StatusServiceUnavailable, err
}
