package notify

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// How a busy listener is received from.
//
// Looking with poll(2) before each RECV takes a fourth of a call's time. So a listener that something has
// come from within a moment is warm, and received from with RECV alone, which blocks until something
// comes. Nothing in Go gets a thread out of there: RECV is begun again after a signal. But when it is
// begun, it refuses a buffer that is not all zeroes. So whoever is to come out has its buffer spoiled, and
// then gets a signal; and no moment is missed, as a RECV that begins later fails at once.
//
// Who comes out is who has been in RECV for a whole round of the patrol, and then waits as others do, where
// contexts, deadlines and Close reach it. The signal is SIGURG, which Go's runtime sends its threads all
// the time. Which thread it is shows in /proc/self/task. Where that is not to be seen, or the signal is
// blocked or ignored, no listener is ever warm.
//
// Before Linux 6.11 RECV does not end with the last target, so no listener stays warm there. It is for one
// RECV, as somebody else who holds the listener may have been faster, and nothing else come any more.

const (
	// patrolInterval is that of the rounds: a receive is got out after one, or two.
	patrolInterval = 4 * time.Millisecond
	// maxWarm is how many listeners of a process may be warm, each of which may keep a thread.
	maxWarm = 16
	// spoiled is a flag of a request that no kernel knows.
	spoiled = 1 << 31
)

// The place of a listener's receiver. The word's lower bits say what it does; the others count.
type place struct {
	word   atomic.Uint64
	buffer *rawRequest // of who is inside
}

const (
	cold    = iota // uses poll
	warm           // uses RECV, and is not in it
	inside         // is about to be in it, or is
	kicking        // is being got out: not to go on before it is kicked
	kicked         // is to come out
	phase   = 7
	round   = 8
)

var patrol = struct {
	mu    sync.Mutex
	round map[*shared]uint64 // and the word as it was seen last
}{round: make(map[*shared]uint64)}

// canKick tells whether a receive can be got out of RECV here.
var canKick = onlyOnce(func() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || checkProc() != nil {
		return false
	}
	_, err = os.ReadFile("/proc/self/syscall")
	takes := true
	for _, field := range []string{"SigBlk", "SigIgn"} {
		set, _ := strconv.ParseUint(statusField(status, field), 16, 64)
		takes = takes && set>>(syscall.SIGURG-1)&1 == 0
	}
	return err == nil && takes
})

func onlyOnce(find func() bool) func() bool {
	var once sync.Once
	var found bool
	return func() bool {
		once.Do(func() { found = find() })
		return found
	}
}

// warmUp makes a cold listener warm, if it can be. Whether it is to stay so; there may be only so many. By the
// receiver.
func (s *shared) warmUp(isBusy bool) (stays bool) {
	if !canKick() {
		return false
	}
	patrol.mu.Lock()
	defer patrol.mu.Unlock()
	_, known := patrol.round[s]
	stays = isBusy && kernelIsAtLeast(6, 11) && (known || len(patrol.round) < maxWarm)
	word := s.place.word.Load()&^phase + round + warm
	s.place.word.Store(word)
	patrol.round[s] = word
	if !known && len(patrol.round) == 1 {
		go walk()
	}
	return stays
}

func (p *place) isWarm() bool { return p.word.Load()&phase == warm }

// coolDown makes a warm listener cold. By the receiver.
func (p *place) coolDown() {
	if word := p.word.Load(); word&phase == warm {
		p.word.CompareAndSwap(word, word&^phase)
	}
}

// enter is to be followed by RECV and leave, unless the listener is cold. By the receiver.
func (p *place) enter(buffer *rawRequest) bool {
	word := p.word.Load()
	if word&phase != warm {
		return false
	}
	p.buffer = buffer
	return p.word.CompareAndSwap(word, word+round+inside-warm)
}

// leave tells whether the receiver was to come out, and is cold.
func (p *place) leave() (wasKicked bool) {
	word := p.word.Load()
	if word&phase == inside && p.word.CompareAndSwap(word, word+warm-inside) {
		return false
	}
	for p.word.Load()&phase != kicked {
		runtime.Gosched()
	}
	// What the kernel has written since then stays written.
	atomic.CompareAndSwapUint32(&p.buffer.flags, spoiled, 0)
	p.word.Store(word &^ phase)
	return true
}

// kick gets the receiver out if it is in RECV and the word is still this one.
func (p *place) kick(word uint64) {
	if word&phase == inside && p.word.CompareAndSwap(word, word+kicking-inside) {
		atomic.CompareAndSwapUint32(&p.buffer.flags, 0, spoiled)
		signal(p.buffer)
		p.word.Store(word + kicked - inside)
	}
}

// kick gets whoever receives out of RECV, to look at what has changed.
func (s *shared) kick() { s.place.kick(s.place.word.Load()) }

// walk is the patrol: it goes on while a listener is warm.
func walk() {
	ticker := time.NewTicker(patrolInterval)
	defer ticker.Stop()
	for range ticker.C {
		patrol.mu.Lock()
		for s, before := range patrol.round {
			word := s.place.word.Load()
			patrol.round[s] = word
			switch {
			case word&phase == cold:
				delete(patrol.round, s)
			case word != before:
				// It has received since.
			case word&phase == warm && s.place.word.CompareAndSwap(word, word&^phase):
				delete(patrol.round, s)
			case word&phase == inside:
				s.place.kick(word)
			case word&phase == kicked:
				// It was just going to sleep when the signal was sent.
				signal(s.place.buffer)
			}
		}
		ended := len(patrol.round) == 0
		patrol.mu.Unlock()
		if ended {
			return
		}
	}
}

// signal sends a signal to the thread that receives into this buffer.
func signal(buffer *rawRequest) {
	calls, _ := filepath.Glob("/proc/self/task/*/syscall")
	// "16 0x3 0xc0502100 0xc000012000 …": the call and its arguments.
	receives := []byte(fmt.Sprintf(" %#x %#x ", ioctlRecv, uintptr(unsafe.Pointer(buffer))))
	for _, file := range calls {
		if call, err := os.ReadFile(file); err == nil && !bytes.Contains(call, receives) {
			continue
		}
		thread, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(syscall.Getpid()), uintptr(thread), uintptr(syscall.SIGURG))
	}
}
