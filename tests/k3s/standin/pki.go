package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// The cluster's authorities, by their files below server/tls, as k3s has them.
var authorities = []string{"server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"}

func makeAuthority(file, name string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := newTemplate(pkix.Name{CommonName: fmt.Sprintf("k3s-%s@%d", filepath.Base(name), time.Now().Unix())})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	template.NotAfter = time.Now().AddDate(10, 0, 0)
	save(file, template, template, key, key)
}

// issue makes a certificate and its key, DIR/name.crt and .key, for clients and servers alike.
func issue(authority, file, user string, groups, names []string) {
	pair, err := tls.LoadX509KeyPair(authority+".crt", authority+".key")
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := newTemplate(pkix.Name{CommonName: user, Organization: groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	save(file, template, pair.Leaf, key, pair.PrivateKey.(*ecdsa.PrivateKey))
}

func newTemplate(name pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(err)
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      name,
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ a little
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
}

func save(file string, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) {
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	check(err)
	private, err := x509.MarshalECPrivateKey(key)
	check(err)
	write(file+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o644)
	write(file+".key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}

func read(file string) []byte {
	text, err := os.ReadFile(file)
	check(err)
	return text
}

func pool(texts ...[]byte) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, text := range texts {
		pool.AppendCertsFromPEM(text)
	}
	return pool
}

// clientTLS is how to talk to a server of that authority as the holder of DIR/name.crt.
func clientTLS(authority, file string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	check(err)
	return &tls.Config{RootCAs: pool(read(authority + ".crt")), Certificates: []tls.Certificate{pair}}
}

// writeKubeconfig is for the holder of user.crt; all of it is in the one file, all is called default.
func writeKubeconfig(file, url, authority, user string, mode os.FileMode) {
	config := api.NewConfig()
	config.Clusters["default"] = &api.Cluster{Server: url, CertificateAuthorityData: read(authority)}
	config.AuthInfos["default"] = &api.AuthInfo{
		ClientCertificateData: read(user + ".crt"), ClientKeyData: read(user + ".key"),
	}
	config.Contexts["default"] = &api.Context{Cluster: "default", AuthInfo: "default"}
	config.CurrentContext = "default"
	text, err := clientcmd.Write(*config)
	check(err)
	write(file, text, mode)
}

func newClient(kubeconfig string) *kubernetes.Clientset {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	check(err)
	config.Timeout = 20 * time.Second
	client, err := kubernetes.NewForConfig(config)
	check(err)
	return client
}
