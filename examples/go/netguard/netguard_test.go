package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	clientVariable = "NETGUARD_TEST_CLIENT"
	guardVariable  = "NETGUARD_TEST_GUARD"
)

// TestMain makes this program netguard, or what runs under it, if that was asked for.
func TestMain(m *testing.M) {
	if client := os.Getenv(clientVariable); client != "" && os.Getenv(guardVariable) == "" {
		if err := clients[client](os.Args[1:]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(guardVariable) != "" {
		os.Unsetenv(guardVariable)
		main()
	}
	os.Exit(m.Run())
}

// A result is what a program under netguard came to.
type result struct {
	output string
	status syscall.WaitStatus
	log    []entry
}

func guardCommand(t *testing.T, where string, argv ...string) (command *exec.Cmd, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	command = exec.Command("/proc/self/exe", append([]string{"-log", log, where, "--"}, argv...)...)
	command.Env = append(os.Environ(), guardVariable+"=1")
	return command, log
}

// under runs a program under netguard.
func under(t *testing.T, where string, argv ...string) result {
	t.Helper()
	command, log := guardCommand(t, where, argv...)
	return finish(t, command, log)
}

// client runs one of the clients.
func client(t *testing.T, where, name string, args ...string) result {
	t.Helper()
	command, log := guardCommand(t, where, append([]string{"/proc/self/exe"}, args...)...)
	command.Env = append(command.Env, clientVariable+"="+name)
	return finish(t, command, log)
}

func finish(t *testing.T, command *exec.Cmd, log string) result {
	t.Helper()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	err := command.Wait()
	if !watchdog.Stop() {
		t.Fatal("it has hung")
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := result{output: strings.TrimSpace(output.String()), status: command.ProcessState.Sys().(syscall.WaitStatus)}
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for lines := json.NewDecoder(bytes.NewReader(text)); lines.More(); {
		var line entry
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		r.log = append(r.log, line)
	}
	return r
}

func (r result) says(t *testing.T, expected ...string) {
	t.Helper()
	if r.output != strings.Join(expected, "\n") || r.status != 0 {
		t.Errorf("%q, status %#x, instead of %q", r.output, r.status, expected)
	}
}

// logged tells whether a line of the log is like this.
func (r result) logged(t *testing.T, program, call, destination string, allowed bool) {
	t.Helper()
	for _, line := range r.log {
		if filepath.Base(line.Program) == program && line.Call == call && line.Destination == destination &&
			line.Allowed == allowed && line.Pid > 0 && !line.Time.IsZero() {
			return
		}
	}
	t.Errorf("no %s of %s to %s (%v) in %+v", call, program, destination, allowed, r.log)
}

// serve answers requests on an address of this machine; gives where.
func serve(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "you asked for", r.URL.Path)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

func have(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
}

func loopbacks() []string {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		return []string{"127.0.0.1:0"}
	}
	return []string{"127.0.0.1:0", "[::1]:0"}
}

func TestCurlGetsWhatItMayAndNothingElse(t *testing.T) {
	have(t, "curl")
	for _, address := range loopbacks() {
		good, bad := serve(t, address), serve(t, address)
		curl := []string{"curl", "-sS", "--noproxy", "*"}
		r := under(t, good, append(curl, "http://"+good+"/page")...)
		r.says(t, "you asked for /page")
		r.logged(t, "curl", "connect", good, true)

		r = under(t, good, append(curl, "http://"+bad+"/page")...)
		const couldNotConnect = 7
		if r.status.ExitStatus() != couldNotConnect {
			t.Errorf("%q, status %#x", r.output, r.status)
		}
		r.logged(t, "curl", "connect", bad, false)
	}
}

func TestANameIsLookedUpUnderTheGuard(t *testing.T) {
	have(t, "curl")
	_, port, _ := net.SplitHostPort(serve(t, "127.0.0.1:0"))
	r := under(t, "localhost:"+port, "curl", "-sS", "--noproxy", "*", "http://localhost:"+port+"/named")
	r.says(t, "you asked for /named")
}

func TestPythonGetsWhatItMayAndNothingElse(t *testing.T) {
	have(t, "python3")
	good, bad := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	const script = `
import sys, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url).read().decode().strip())
    except OSError as error:
        print(error.reason.errno)
`
	r := under(t, good, "python3", "-c", script, "http://"+good+"/a", "http://"+bad+"/b", "http://"+good+"/c")
	r.says(t, "you asked for /a", "13", "you asked for /c")
}

func TestAShellOpensConnections(t *testing.T) {
	have(t, "bash")
	good, bad := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	device := func(address string) string { return "/dev/tcp/" + strings.Replace(address, ":", "/", 1) }
	r := under(t, good, "bash", "-c", fmt.Sprintf("exec 3<>%s && echo open; (exec 4<>%s) 2>/dev/null || echo refused",
		device(good), device(bad)))
	r.says(t, "open", "refused")
}

func TestGitFetchesFromWhereItMay(t *testing.T) {
	have(t, "git")
	good, bad := serve(t, "127.0.0.1:0"), serve(t, "127.0.0.1:0")
	for address, allowed := range map[string]bool{good: true, bad: false} {
		r := under(t, good, "git", "-c", "http.proxy=", "ls-remote", "http://"+address+"/repository")
		if r.status.ExitStatus() == 0 || len(r.log) == 0 || r.log[len(r.log)-1].Allowed != allowed {
			t.Errorf("%+v", r) // no repository either way
		}
	}
}

// receiver gives a socket for datagrams, and its port.
func receiver(t *testing.T) (net.PacketConn, string) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	_, port, _ := net.SplitHostPort(socket.LocalAddr().String())
	return socket, port
}

func received(t *testing.T, socket net.PacketConn) string {
	t.Helper()
	buffer := make([]byte, 256)
	_ = socket.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, _, err := socket.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func receivedNothing(t *testing.T, socket net.PacketConn) {
	t.Helper()
	_ = socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, from, err := socket.ReadFrom(make([]byte, 256)); err == nil {
		t.Errorf("%d bytes came from %v", n, from)
	}
}

func TestDatagramsGoWhereTheyMay(t *testing.T) {
	good, goodPort := receiver(t)
	bad, badPort := receiver(t)
	where := "127.0.0.1:" + goodPort
	for name, call := range map[string]string{"send-to": "sendto", "send-msg": "sendmsg", "unspecified": "sendto"} {
		r := client(t, where, name, goodPort, badPort)
		if name == "send-msg" {
			r.says(t, "ok", "ok", "EACCES", "EACCES")
			received(t, good)
		} else {
			r.says(t, "ok", "EACCES")
		}
		received(t, good)
		r.logged(t, filepath.Base(executable(t)), call, where, true)
		r.logged(t, filepath.Base(executable(t)), call, "127.0.0.1:"+badPort, false)
	}
	receivedNothing(t, good)
	receivedNothing(t, bad)
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestManyDatagramsGoUpToTheFirstThatMayNot(t *testing.T) {
	good, goodPort := receiver(t)
	bad, badPort := receiver(t)
	length := fmt.Sprint(len("many to " + goodPort))
	r := client(t, "127.0.0.1:"+goodPort, "send-many", goodPort, goodPort, badPort, goodPort)
	r.says(t, "2 ok", length, length, "0", "0")
	for i := 0; i < 2; i++ {
		if text := received(t, good); text != "many to "+goodPort {
			t.Error(text)
		}
	}
	receivedNothing(t, good)
	client(t, "127.0.0.1:"+goodPort, "send-many", badPort, goodPort).says(t, "-1 EACCES", "0", "0")
	receivedNothing(t, bad)
}

func TestUnixDatagramsGoWhereTheyMay(t *testing.T) {
	directory := t.TempDir()
	names := []string{directory + "/good", directory + "/bad", "@netguard-good", "@netguard-bad"}
	var sockets []net.PacketConn
	for _, name := range names {
		socket, err := net.ListenPacket("unixgram", name)
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		sockets = append(sockets, socket)
	}
	r := client(t, names[0]+","+names[2], "send-to", names...)
	r.says(t, "ok", "EACCES", "ok", "EACCES")
	for i, name := range names {
		if i%2 == 0 {
			if text := received(t, sockets[i]); text != "sent to "+name {
				t.Error(text)
			}
		}
		receivedNothing(t, sockets[i])
	}
}

func TestChangingTheAddressMeanwhileChangesNothing(t *testing.T) {
	_, goodPort := receiver(t)
	bad, badPort := receiver(t)
	client(t, "127.0.0.1:"+goodPort, "race", goodPort, badPort, "5000").says(t, "raced")
	receivedNothing(t, bad)
}

func TestDescriptorsAreSent(t *testing.T) {
	client(t, "127.0.0.1:1", "rights").says(t, "2 through the pipe")
}

func TestWhoBlocksWaitsAndWhoDoesNotDoesNot(t *testing.T) {
	client(t, "127.0.0.1:1", "full").says(t, "EAGAIN", "ok true")
}

func TestABrokenPipeIsAnErrorAndASignal(t *testing.T) {
	client(t, "127.0.0.1:1", "pipe").says(t, "EPIPE", "EPIPE broken pipe")
}

func TestThereIsNoWayAround(t *testing.T) {
	_, port := receiver(t)
	client(t, "127.0.0.1:"+port, "ways-around", port).says(t, "EOPNOTSUPP", "EOPNOTSUPP", "ENOSYS",
		"EPROTONOSUPPORT", "EPROTONOSUPPORT", "EPROTONOSUPPORT", "EACCES", "EACCES", "ok", "EACCES")
}

func TestTheKernelIsAsked(t *testing.T) {
	client(t, "127.0.0.1:1", "netlink").says(t, "true")
}

func TestItEndsLikeTheProgram(t *testing.T) {
	if r := under(t, "@", "sh", "-c", "exit 7"); r.status.ExitStatus() != 7 {
		t.Errorf("%#x", r.status)
	}
	if r := under(t, "@", "sh", "-c", "kill -TERM $$"); r.status.Signal() != syscall.SIGTERM {
		t.Errorf("%#x", r.status)
	}
	if r := under(t, "@", "no-such-program"); r.status.ExitStatus() != 127 {
		t.Errorf("%#x", r.status)
	}
	if r := under(t, "@", "/etc/passwd"); r.status.ExitStatus() != 126 {
		t.Errorf("%#x", r.status)
	}
}

func TestTerminatingItTerminatesTheProgram(t *testing.T) {
	command, _ := guardCommand(t, "@", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep .01; done")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { panic("it has hung") })
	defer watchdog.Stop()
	if _, err := io.ReadFull(output, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = command.Wait(); command.ProcessState.ExitCode() != 5 {
		t.Error(command.ProcessState)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, argv := range [][]string{
		{}, {"127.0.0.1:1"}, {"127.0.0.1", "--", "true"}, {"127.0.0.1:65536", "true"}, {"127.0.0.1:x", "true"},
		{"300.0.0.0/8:1", "true"}, {"", "true"}, {"-no", "1"},
	} {
		command := exec.Command("/proc/self/exe", argv...)
		command.Env = append(os.Environ(), guardVariable+"=1")
		if _ = command.Run(); command.ProcessState.ExitCode() != 2 {
			t.Errorf("%q: status %d", argv, command.ProcessState.ExitCode())
		}
	}
}
