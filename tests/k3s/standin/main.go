// A stand-in for k3s, for tests where k3s itself can't be had: called as k3s is called, it runs the real upstream
// components (Kubernetes, etcd, flannel, containerd) as child processes. What differs from k3s is in README.md.
package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Version is what it says it is; the linker may set another.
var Version = "v1.34.2+k3s1"

// Home is where it keeps the programs that it carries.
var Home = "/var/lib/rancher/k3s/data/standin"

const socket = "/run/k3s/containerd/containerd.sock"

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name != "runc" && name != "kubectl" && name != "ctr" {
		if len(args) == 0 {
			fatal("usage: k3s server|agent|kubectl|ctr|--version")
		}
		name, args = args[0], args[1:]
	}
	switch name {
	case "--version", "-v":
		fmt.Printf("k3s version %s (standin)\ngo version %s\n", Version, runtime.Version())
	case "server", "agent":
		run(name, args)
	case "ctr":
		unpack()
		become(filepath.Join(Home, "ctr"), append([]string{"--address", socket, "--namespace", "k8s.io"}, args...))
	case "runc":
		if slices.Contains(args, "create") {
			check(stripSpecification(args))
		}
		become("/usr/sbin/runc", args)
	default:
		if name == "kubectl" && os.Getenv("KUBECONFIG") == "" {
			os.Setenv("KUBECONFIG", "/etc/rancher/k3s/k3s.yaml")
		}
		runComponent(name, args)
	}
}

// unpack takes the programs out of the archive that this file ends with, once for each build.
func unpack() {
	self, err := os.Executable()
	check(err)
	info, err := os.Stat(self)
	check(err)
	stamp := fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	if found, _ := os.ReadFile(filepath.Join(Home, "stamp")); string(found) == stamp {
		return
	}
	archive, err := zip.OpenReader(self)
	check(err)
	defer archive.Close()
	check(os.MkdirAll(Home, 0o755))
	for _, member := range archive.File {
		target := filepath.Join(Home, member.Name)
		from, err := member.Open()
		check(err)
		// A running program can't be written to, but it can be replaced.
		to, err := os.OpenFile(target+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		check(err)
		_, err = io.Copy(to, from)
		check(err)
		check(to.Close())
		check(os.Rename(target+".new", target))
	}
	os.Remove(filepath.Join(Home, "runc"))
	check(os.Symlink(self, filepath.Join(Home, "runc")))
	check(os.WriteFile(filepath.Join(Home, "stamp"), []byte(stamp), 0o644))
}

// hasControllers tells whether the cgroups here can limit anything: of version 1, or of version 2 with controllers.
func hasControllers() bool {
	found, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return os.IsNotExist(err) || strings.Contains(string(found), "pids") && strings.Contains(string(found), "cpu")
}

// isPrivileged tells whether the machine's root may use more than it was given: CAP_SYS_RESOURCE.
func isPrivileged() bool {
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	_, after, _ := strings.Cut(string(status), "CapEff:")
	sets, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	check(err)
	return sets&(1<<24) != 0
}

// stripSpecification takes out of a container, which runc is to create, what it would fail with here.
func stripSpecification(args []string) error {
	at := slices.Index(args, "--bundle")
	if at < 0 || at+1 == len(args) {
		return fmt.Errorf("runc create without --bundle: %v", args)
	}
	file := filepath.Join(args[at+1], "config.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	if linux, ok := spec["linux"].(map[string]any); ok && !hasControllers() {
		delete(linux, "resources")
	}
	if process, ok := spec["process"].(map[string]any); ok && !isPrivileged() {
		delete(process, "oomScoreAdj")
		delete(process, "rlimits")
	}
	text, err = json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func become(program string, args []string) {
	check(syscall.Exec(program, append([]string{program}, args...), os.Environ()))
}

func say(format string, words ...any) { fmt.Fprintf(os.Stderr, "k3s: "+format+"\n", words...) }

func fatal(format string, words ...any) {
	say("level=fatal msg="+format, words...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fatal("%v", err)
	}
}
