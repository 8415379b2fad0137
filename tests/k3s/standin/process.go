package main

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The kernel ends a child with the *thread* that started it, so that all are started by the main thread.
func init() { runtime.LockOSThread() }

var starts = make(chan func())

// Children are the components that run now.
type Children struct {
	lock    sync.Mutex
	running []*exec.Cmd
	ended   chan string
}

var children = Children{ended: make(chan string, 32)}

// start runs a component of ours; its end is the end of all.
func (c *Children) start(name string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	check(err)
	return c.startProgram(name, exec.Command(self, append([]string{name}, args...)...))
}

func (c *Children) startProgram(name string, command *exec.Cmd) *exec.Cmd {
	say("starting %s", name)
	if command.Stdout == nil {
		command.Stdout, command.Stderr = os.Stderr, os.Stderr
	}
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = slices.DeleteFunc(command.Env, func(one string) bool { return strings.HasPrefix(one, "NOTIFY_SOCKET=") })
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	starts <- func() { done <- command.Start() }
	check(<-done)
	c.lock.Lock()
	c.running = append(c.running, command)
	c.lock.Unlock()
	go func() {
		_ = command.Wait()
		c.ended <- name + ": " + command.ProcessState.String()
	}()
	return command
}

// supervise runs the work beside the main thread, until a signal comes or a component ends.
func supervise(work func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go work()
	status := 1
wait:
	for {
		select {
		case start := <-starts:
			start()
		case name := <-children.ended:
			say("level=fatal msg=%s", name)
			break wait
		case <-signals:
			status = 0
			break wait
		}
	}
	children.lock.Lock()
	for i := len(children.running) - 1; i >= 0; i-- {
		_ = children.running[i].Process.Signal(syscall.SIGTERM)
	}
	// Those that are still busy after this are ended by the kernel, with us.
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		alive := false
		for _, one := range children.running {
			alive = alive || one.Process.Signal(syscall.Signal(0)) == nil
		}
		if !alive {
			break
		}
	}
	os.Exit(status)
}

// notifyReady tells systemd, if it started us.
func notifyReady() {
	say("k3s is up and running")
	if address := os.Getenv("NOTIFY_SOCKET"); address != "" {
		connection, err := net.Dial("unixgram", address)
		check(err)
		defer connection.Close()
		_, err = connection.Write([]byte("READY=1"))
		check(err)
	}
}

// until tries again and again; every half minute it says what is in the way.
func until(what string, try func() error) {
	for said := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(said) > 15*time.Second {
			say("waiting for %s: %v", what, err)
			said = time.Now()
		}
	}
}
