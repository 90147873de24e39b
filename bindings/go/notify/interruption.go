package notify

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// A received call is interrupted by nothing but what kills. Other signals wait, which /proc/TID/status
// shows. Answered with ERESTARTSYS, the number that the kernel's own calls give back and no program ever
// sees, the target goes through all that a signal brings about. It would see that number if none waited for
// this very thread: one that was sent to the process is for some thread of it, the leader if that takes it.

const (
	restartSys = 512
	// takenWithin is how long a signal takes to be taken by a thread that does not wait for an answer.
	takenWithin = 3 * time.Millisecond
)

// ReplyInterrupted ends the call as the kernel would if a signal waits for the target, and tells whether it
// did: its handler runs, and the call is made again or fails with EINTR, as the handler was installed. It is
// for those who let a call wait, every 10 ms.
//
// Not seen is a signal to the whole process that another thread could take as well, unless the target
// leads it.
func (n *Notification) ReplyInterrupted() (bool, error) {
	looked, err := n.look()
	if err != nil {
		return false, err
	}
	defer looked.done()
	tid, err := looked.target()
	if err != nil {
		return false, err
	}
	signalled, failed := isSignalled(tid)
	if err := looked.check(); err != nil {
		return false, err
	}
	if failed != nil {
		return false, looked.explain(failed, "read which signals wait for the target")
	}
	if !signalled {
		return false, nil
	}
	return true, n.reply(0, -restartSys, 0)
}

// The signals of a thread and what it does with them, a bit for each.
type signals struct {
	own, shared, blocked uint64
	threads, tgid        int
}

func readSignals(tid int) (signals, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return signals{}, err
	}
	set := func(field string) uint64 {
		number, _ := strconv.ParseUint(statusField(status, field), 16, 64)
		return number
	}
	threads, _ := strconv.Atoi(statusField(status, "Threads"))
	tgid, _ := strconv.Atoi(statusField(status, "Tgid"))
	return signals{set("SigPnd"), set("ShdPnd"), set("SigBlk"), threads, tgid}, nil
}

// statusField is what stands behind a field in the text of /proc/TID/status.
func statusField(status []byte, field string) string {
	_, after, _ := bytes.Cut(status, []byte("\n"+field+":"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return string(bytes.TrimSpace(line))
}

// isSignalled tells whether a signal waits for a thread that waits for an answer. What is ignored does not
// wait.
func isSignalled(tid int) (bool, error) {
	if err := checkProc(); err != nil {
		return false, err
	}
	now, err := readSignals(tid)
	if err != nil {
		return false, err
	}
	taken := now.shared &^ now.blocked
	switch {
	case now.own&^now.blocked != 0:
		return true, nil
	case taken == 0:
		return false, nil
	case now.threads == 1:
		return true, nil
	case now.tgid != tid && othersTake(tid, taken):
		return false, nil
	}
	time.Sleep(takenWithin)
	later, err := readSignals(tid)
	return taken&later.shared&^later.blocked != 0, err
}

// othersTake tells whether another thread of the process takes one of these, as far as can be seen.
func othersTake(tid int, taken uint64) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", tid))
	if err != nil {
		return true
	}
	for _, thread := range threads {
		other, err := strconv.Atoi(thread.Name())
		if err != nil || other == tid {
			continue
		}
		if its, err := readSignals(other); err == nil && taken&^its.blocked != 0 {
			return true
		}
	}
	return false
}
