// Package target is what the tests supervise: the test program itself, executed once more, makes the calls
// that its arguments ask for.
package target

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Number is the call that the filters of the tests notify. Nothing else makes it, and the filter shows
// all of its arguments.
const Number = syscall.SYS_ADD_KEY

// Name is that call's.
const Name = "add_key"

// Patience is how long a test may take. UNOTIFY_TEST_SLOWNESS says how many times slower than others a machine is.
var Patience = time.Minute * time.Duration(Slowness())

// Slowness is how many times slower than others UNOTIFY_TEST_SLOWNESS says this machine is, or 1.
func Slowness() int {
	if times, err := strconv.Atoi(os.Getenv("UNOTIFY_TEST_SLOWNESS")); err == nil && times > 0 {
		return times
	}
	return 1
}

// Fewer is how often a slow machine does what others do so many times.
func Fewer(times int) int { return (times + Slowness() - 1) / Slowness() }

const variable = "UNOTIFY_TEST_TARGET_PROGRAM"

// Environment is what makes this program a target.
//
// Its runtime sends itself no signals to preempt goroutines: before Linux 5.19 they would interrupt its calls.
func Environment() []string { return append(os.Environ(), variable+"=1", "GODEBUG=asyncpreemptoff=1") }

// RunIfAsked does what the arguments ask for, and exits, if this process is to be a target. For TestMain.
func RunIfAsked() {
	if os.Getenv(variable) == "" {
		return
	}
	for _, argument := range os.Args[1:] {
		name, rest, _ := strings.Cut(argument, ":")
		do, known := commands[name]
		if !known {
			fmt.Println("no such command:", argument)
			os.Exit(2)
		}
		do(rest)
	}
	os.Exit(0)
}

var commands = map[string]func(string){
	// call:A,B,… makes the call with these arguments, and says what it returned.
	"call": func(text string) {
		var args [6]uint64
		for i, number := range strings.Split(text, ",") {
			args[i], _ = strconv.ParseUint(number, 0, 64)
		}
		value, errno := call(args)
		fmt.Println(int64(value), int(errno))
	},
	// calls:N makes N calls with the numbers from 0 on, and says how many returned their number.
	"calls": func(text string) { fmt.Println(right(number(text))) },
	// until-line makes calls until there is a line on standard input, and says how many returned their number, of how
	// many.
	"until-line": func(string) {
		var isOver atomic.Bool
		go func() {
			_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
			isOver.Store(true)
		}()
		count, made := 0, 0
		for ; !isOver.Load(); made += 50 {
			count += right(50)
		}
		fmt.Println(count, made)
	},
	// threads:N,M has N threads make M calls each.
	"threads": func(text string) {
		threads, each, _ := strings.Cut(text, ",")
		var all sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for i := 0; i < number(threads); i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				runtime.LockOSThread()
				count := right(number(each))
				mu.Lock()
				total += count
				mu.Unlock()
			}()
		}
		all.Wait()
		fmt.Println(total)
	},
	// string:TEXT passes the address of the text, a page's border in its middle.
	"string": func(text string) {
		pages := newPages(2)
		at := pages[os.Getpagesize()-len(text)/2:]
		copy(at, text)
		value, errno := call([6]uint64{address(at), uint64(len(text))})
		fmt.Println(int64(value), int(errno))
	},
	// edge:TEXT passes the address of the text, with its NUL the last byte before nothing.
	"edge": func(text string) {
		pages := newPages(2)
		half := os.Getpagesize()
		_ = syscall.Mprotect(pages[half:], syscall.PROT_NONE)
		at := pages[half-len(text)-1:]
		copy(at, text)
		value, errno := call([6]uint64{address(at), uint64(len(text)), address(pages[half:])})
		fmt.Println(int64(value), int(errno))
	},
	// buffer:TEXT passes the address of the text, and says what is there afterwards.
	"buffer": func(text string) {
		pages := newPages(2)
		copy(pages, text)
		_, _ = call([6]uint64{address(pages), uint64(len(text))})
		fmt.Println(strings.TrimRight(string(pages), "\x00"))
	},
	// readonly passes the address of two pages of which the second cannot be written to.
	"readonly": func(string) {
		pages := newPages(2)
		_ = syscall.Mprotect(pages[os.Getpagesize():], syscall.PROT_READ)
		_, _ = call([6]uint64{address(pages), uint64(os.Getpagesize())})
		fmt.Println(pages[os.Getpagesize()-1], pages[os.Getpagesize()])
	},
	// file:TEXT passes the number of an open file with the text, at whose beginning it is.
	"file": func(text string) {
		file, _ := os.CreateTemp("", "target")
		_ = os.Remove(file.Name())
		_, _ = file.WriteString(text)
		_, _ = file.Seek(0, 0)
		_, _ = call([6]uint64{uint64(file.Fd())})
		at, _ := file.Seek(0, 1)
		fmt.Println(at)
	},
	// own-file:TEXT does so on a thread with descriptors of its own.
	"own-file": func(text string) {
		runtime.LockOSThread()
		var all sync.WaitGroup
		all.Add(1)
		go func() {
			defer all.Done()
			runtime.LockOSThread()
			_ = syscall.Unshare(syscall.CLONE_FILES)
			var ends [2]int
			_ = syscall.Pipe(ends[:])
			_, _ = syscall.Write(ends[1], []byte(text))
			_, _ = call([6]uint64{uint64(ends[0])})
		}()
		all.Wait()
	},
	// given reads what the number that the call returns leads to.
	"given": func(string) {
		value, errno := call([6]uint64{})
		if errno != 0 {
			fmt.Println("failed", int(errno))
			return
		}
		line, _ := bufio.NewReader(os.NewFile(uintptr(value), "given")).ReadString('\n')
		flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(value), syscall.F_GETFD, 0)
		fmt.Println(strings.TrimSpace(line), flags)
	},
	// all-given:N makes N calls that are to return descriptors, closes those, and says how many there were.
	"all-given": func(text string) {
		count := 0
		for i := 0; i < number(text); i++ {
			if fd, errno := call([6]uint64{}); errno == 0 && fd > 2 && syscall.Close(int(fd)) == nil {
				count++
			}
		}
		fmt.Println(count)
	},
	// thread makes the call with a number on a thread that does not lead the process.
	"thread": func(text string) {
		runtime.LockOSThread()
		done := make(chan string)
		go func() {
			runtime.LockOSThread()
			value, errno := call([6]uint64{uint64(number(text))})
			done <- fmt.Sprintln(int64(value), int(errno))
		}()
		fmt.Print(<-done)
	},
	// handled handles SIGUSR1.
	"handled": func(string) { signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1) },
	// array:N passes the address of an array of N pointers, 1 to N, and a null.
	"array": func(text string) {
		pages := newPages(2)
		array := unsafe.Slice((*uint64)(unsafe.Pointer(&pages[0])), number(text))
		for i := range array {
			array[i] = uint64(i + 1)
		}
		_, _ = call([6]uint64{address(pages)})
	},
	// number:N makes the call with this number, without arguments.
	"number": func(text string) {
		number, _ := strconv.ParseUint(text, 0, 64)
		value, _, errno := syscall.RawSyscall(uintptr(number), 0, 0, 0)
		fmt.Println(int64(value), int(errno))
	},
	// privs says whether no_new_privs is set, and how many filters there are.
	"privs": func(string) {
		status, _ := os.ReadFile("/proc/thread-self/status")
		for _, line := range strings.Split(string(status), "\n") {
			if strings.HasPrefix(line, "NoNewPrivs:") {
				fmt.Println(strings.Fields(line)[1])
			}
		}
	},
	// sleep:N sleeps for N milliseconds.
	"sleep": func(text string) { time.Sleep(time.Duration(number(text)) * time.Millisecond) },
	// line waits for a line on standard input.
	"line": func(string) { _, _ = bufio.NewReader(os.Stdin).ReadString('\n') },
	// say:TEXT says it.
	"say": func(text string) { fmt.Println(text) },
}

func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

func call(a [6]uint64) (uintptr, syscall.Errno) {
	value, _, errno := syscall.Syscall6(Number, uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]),
		uintptr(a[4]), uintptr(a[5]))
	return value, errno
}

func right(calls int) (count int) {
	for i := 0; i < calls; i++ {
		if value, errno := call([6]uint64{uint64(i)}); errno == 0 && value == uintptr(i) {
			count++
		}
	}
	return count
}

// newPages gives pages that the collector knows nothing of.
func newPages(count int) []byte {
	pages, err := syscall.Mmap(-1, 0, count*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		panic(err)
	}
	return pages
}

func address(bytes []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&bytes[0]))) }
