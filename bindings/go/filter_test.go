package unotify_test

import (
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	unotify "libunotify/go"
)

func TestNamesAndNumbersOfCallsAndArchitectures(t *testing.T) {
	number, err := unotify.SyscallFromName(0, "getppid")
	must(t, err)
	name, err := unotify.SyscallName(unotify.ArchNative(), number)
	must(t, err)
	if number != syscall.SYS_GETPPID || name != "getppid" {
		t.Error(number, name)
	}
	_, err = unotify.SyscallName(0, 1<<20)
	wantError(t, err, unotify.ErrUnknownSyscall)
	arch, err := unotify.ArchFromName("native")
	must(t, err)
	if arch != unotify.ArchNative() || unotify.ArchName(arch) == "" || unotify.ArchName(12345) != "" {
		t.Error(arch, unotify.ArchName(arch))
	}
	_, err = unotify.ArchFromName("pdp11")
	wantError(t, err, unotify.ErrUnknownArch)
	if families := unotify.Families(); len(families) == 0 || families[0] == "" {
		t.Error(families)
	}
	if unotify.Version() == "" || unotify.Features()&unotify.FeatureNotify == 0 {
		t.Error(unotify.Version(), unotify.Features())
	}
}

func TestAFilterDecidesByItsConditions(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t)
	for i, rule := range []struct {
		action    unotify.Action
		condition unotify.Condition
	}{
		{unotify.ActionErrno(syscall.EXDEV), unotify.Condition{Arg: 0, Op: unotify.Equal, Value: 1 << 63}},
		{unotify.ActionErrno(0), unotify.Condition{Arg: 0, Op: unotify.MaskedEqual, Mask: 0xff00000000, Value: 0x1100000000}},
		{unotify.ActionNotify, unotify.Condition{Arg: 0, Op: unotify.Equal, Value: 7}},
	} {
		if err := filter.AddRule(rule.action, "getppid", rule.condition); err != nil {
			t.Fatal(i, err)
		}
	}
	it := startUnder(t, filter, "")
	for _, call := range []struct {
		arg   uint64
		value int64
		errno syscall.Errno
	}{
		{1 << 63, -1, syscall.EXDEV},
		{0x2211_00000000 + 5, 0, 0},
		{0, int64(os.Getpid()), 0},
	} {
		it.getppid(call.arg)
		if value, errno := it.result(); value != call.value || errno != call.errno {
			t.Errorf("%x gave %d, %v", call.arg, value, errno)
		}
	}
	must(t, it.called(7).ReplyValue(8))
}

func TestAFilterSaysWhatIsWrong(t *testing.T) {
	filter := newFilter(t)
	wantError(t, filter.Notify("no_such_call"), unotify.ErrUnknownSyscall)
	wantError(t, filter.NotifyFamily("no such family"), unotify.ErrInvalidArgument)
	wantError(t, filter.AddArch(12345), unotify.ErrUnknownArch)
	for _, arg := range []int{-1, 6, 1 << 32} {
		wantError(t, filter.AddRule(unotify.ActionNotify, "read", unotify.Condition{Arg: arg, Op: unotify.Equal}),
			unotify.ErrInvalidArgument)
	}
	err := filter.AddRule(unotify.ActionAllow, "read")
	wantError(t, err, unotify.ErrInvalidArgument)
	if !strings.HasPrefix(err.Error(), "unotify: ") || len(err.Error()) < 20 {
		t.Error(err)
	}
	_, err = unotify.NewFilter(12345)
	wantError(t, err, unotify.ErrInvalidArgument)
}

func TestAFilterIsExported(t *testing.T) {
	filter := newFilter(t)
	must(t, filter.NotifyFamily("open"))
	program, err := filter.ExportBPF()
	must(t, err)
	if len(program) == 0 || len(program)%8 != 0 {
		t.Error(len(program))
	}
	r, w, err := os.Pipe()
	must(t, err)
	must(t, filter.ExportPFC(w))
	w.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	if !strings.Contains(string(text), "openat") {
		t.Errorf("%s", text)
	}
	wantError(t, filter.ExportPFC(w), os.ErrClosed)
}

func TestAClosedFilterGivesErrors(t *testing.T) {
	filter := newFilter(t)
	must(t, filter.Close())
	_, exported := filter.ExportBPF()
	_, loaded := filter.Load(0)
	_, started := unotify.Command(filter, "true").Start()
	for _, err := range []error{
		filter.Close(), filter.Notify("read"), filter.AddArch(0), filter.NotifyFamily("open"), filter.ExportPFC(os.Stdout),
		exported, loaded, started,
	} {
		wantError(t, err, os.ErrClosed)
	}
}

func TestAThreadLoadsAFilterAndIsServedByAnother(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t, "getppid")
	listeners, results := make(chan *unotify.Listener), make(chan uintptr)
	go func() {
		runtime.LockOSThread() // And never unlocked: the thread ends with the goroutine.
		listener, err := filter.Load(0)
		if err != nil {
			t.Error(err)
		}
		listeners <- listener
		_, err = filter.Load(0)
		wantError(t, err, unotify.ErrBusy)
		value, _, _ := syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
		results <- value
	}()
	listener := <-listeners
	n := receive(t, listener)
	must(t, n.ReplyValue(12))
	if got := <-results; got != 12 {
		t.Error(got)
	}
	_, err := listener.Receive(background)
	wantError(t, err, unotify.ErrClosed)
	must(t, listener.Close())
}

func TestAFilterThatNotifiesNothingHasNoListener(t *testing.T) {
	guard(t, patience)
	filter := newFilter(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		listener, err := filter.Load(0)
		if listener != nil || err != nil {
			t.Error(listener, err)
		}
	}()
	<-done
}
