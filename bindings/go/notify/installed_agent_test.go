package notify_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"libunotify/go/internal/target"
	unotify "libunotify/go/notify"
)

// The installed agent is the C library's.
func unotifyAgent(t *testing.T, where string, args ...string) (agent *exec.Cmd, events func(kind string) []map[string]any) {
	program := os.Getenv("UNOTIFY_TEST_AGENT")
	log, policy := filepath.Join(where, "log"), filepath.Join(where, "policy")
	must(t, os.WriteFile(policy, []byte("[[rule]]\nnodes = [\"c 1:3\"]\n"), 0o600))
	args = append([]string{"--socket", filepath.Join(where, "agent.sock"), "--policy", policy, "--log", log}, args...)
	agent = exec.Command(program, args...)
	agent.Stderr = os.Stderr
	must(t, agent.Start())
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	return agent, func(kind string) (found []map[string]any) {
		for began := time.Now(); len(found) == 0 && time.Since(began) < target.Patience/4; time.Sleep(5 * time.Millisecond) {
			text, _ := os.ReadFile(log)
			for _, line := range strings.Split(string(text), "\n") {
				var event map[string]any
				if json.Unmarshal([]byte(line), &event) == nil && event["event"] == kind {
					found = append(found, event)
				}
			}
		}
		return found
	}
}

func TestTheInstalledAgentIsReplacedAndReplaces(t *testing.T) {
	if os.Getenv("UNOTIFY_TEST_AGENT") == "" {
		t.Skip("UNOTIFY_TEST_AGENT names no unotify-agent")
	}
	where := directory(t)
	path := filepath.Join(where, "agent.sock")
	agent, events := unotifyAgent(t, where)
	if len(events("started")) != 1 {
		t.Fatal("it does not start")
	}
	it := start(t, "line", "call:1", "line", "call:2")
	must(t, send(dial(t, path), state("box"), it.listener.Fd()))
	must(t, it.listener.Close())
	if len(events("container")) != 1 {
		t.Fatal("it does not serve")
	}

	// From it to this one.
	control := dial(t, path+".control")
	must(t, send(control, "upgrade\n"))
	taken, err := unotify.TakeOver(background, control, nil)
	must(t, err)
	defer taken.Close()
	must(t, agent.Wait())
	box, err := taken.Accept(background)
	must(t, err)
	if box.ID != "box" || !box.HandedOver || box.Annotations["a"] != "1" {
		t.Errorf("%+v", box)
	}
	_, err = it.input.Write([]byte("\n"))
	must(t, err)
	listener := take(t, box)
	answer(t, listener)
	must(t, box.Close())
	must(t, taken.PutBack(listener))

	// And back.
	must(t, os.Remove(filepath.Join(where, "log")))
	_ = os.Remove(path + ".control")
	asked, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + ".control", Net: "unix"})
	must(t, err)
	defer asked.Close()
	asked.SetUnlinkOnClose(false) // which is the next one's by then
	_, events = unotifyAgent(t, where, "--upgrade")
	conn, err := asked.AcceptUnix()
	must(t, err)
	defer conn.Close()
	word := make([]byte, len("upgrade\n"))
	_, err = io.ReadFull(conn, word)
	must(t, err)
	must(t, taken.HandOver(background, conn))
	must(t, taken.Close())
	containers := events("container")
	if len(containers) != 1 || containers[0]["handed_over"] != true || containers[0]["id"] != "box" {
		t.Errorf("%v", containers)
	}
	_, err = it.input.Write([]byte("\n"))
	must(t, err)
	if said := it.said(); !strings.HasPrefix(said, "1 0\n") || strings.Contains(said, fmt.Sprint(int(syscall.ENOSYS))) {
		t.Error(said)
	}
	if isGone(path) {
		t.Error("the socket's name is gone")
	}
}
