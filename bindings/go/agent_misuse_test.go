package unotify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	unotify "libunotify/go"
)

func TestAnAgentThatIsMisusedGivesErrors(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	wantError(t, p.Serve(background, nil, nil, nil), unotify.ErrInvalidArgument)
	_, err := unotify.AgentFromListener(nil, nil)
	wantError(t, err, unotify.ErrInvalidArgument)
	path := filepath.Join(t.TempDir(), "a\x00b")
	_, err = unotify.NewAgent(path, nil)
	wantError(t, err, unotify.ErrInvalidArgument)
	wantError(t, (&unotify.Supervisor{}).AddListener(nil, nil), unotify.ErrInvalidArgument)
	p.begin("box")
	box := p.accept()
	if file, err := box.File("null\x00"); file != nil || err != nil {
		t.Error(file, err)
	}
	must(t, box.Close())
}

func TestAcceptWithAContextThatIsDoneLeavesTheContainer(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	done, cancel := context.WithCancel(background)
	cancel()
	p.begin("box")
	time.Sleep(20 * time.Millisecond)
	_, err := p.Accept(done)
	wantError(t, err, context.Canceled)
	s := &unotify.Supervisor{KeepRunning: true}
	wantError(t, p.Serve(done, s, nil, nil), context.Canceled)
	if box := p.accept(); box.ID != "box" || box.Close() != nil {
		t.Error(box.ID)
	}
}

func TestAContainerThatNobodyKeepsIsLetGoOf(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil)
	it := p.begin("box")
	it.getppid()
	p.accept()
	done := make(chan struct{})
	go func() {
		if _, errno := it.result(); errno != syscall.ENOSYS {
			t.Error(errno)
		}
		close(done)
	}()
	eventually(t, "it is collected", func() bool {
		runtime.GC()
		return closed(done)
	})
}

func TestManyAcceptAndCloseAtOnce(t *testing.T) {
	guard(t, 2*patience)
	for i := 0; i < 50; i++ {
		p := startAgent(t, nil)
		it := p.begin("box")
		var all sync.WaitGroup
		for j := 0; j < 8; j++ {
			closes := j%4 == 0
			all.Add(1)
			go func() {
				defer all.Done()
				if closes {
					if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
						t.Error(err)
					}
					return
				}
				container, err := p.Accept(background)
				if err == nil {
					container.Close()
				} else if !errors.Is(err, os.ErrClosed) {
					t.Error(err)
				}
			}()
		}
		all.Wait()
		it.getppid() // Whether it was accepted or not, nobody has it any more.
		if _, errno := it.result(); errno != syscall.ENOSYS {
			t.Error(errno)
		}
		it.end()
	}
}

func TestASupervisorServesForOneAtATime(t *testing.T) {
	guard(t, patience)
	p := startAgent(t, nil).serve(func(n *unotify.Notification) unotify.Verdict { return unotify.Value(7) })
	one := p.begin("one")
	one.answered(7)
	wantError(t, p.Serve(background, p.s, nil, nil), syscall.EBUSY)
	two := p.begin("two")
	two.answered(7)
	one.answered(7)
	must(t, p.Close())
	wantError(t, <-p.end, os.ErrClosed)
}

// What is told of one container panics; the others leave, and are told of, all the same.
func TestAPanicOfLeftLosesNoOtherContainer(t *testing.T) {
	guard(t, patience)
	for _, how := range []string{"close", "hand over"} {
		p := startAgent(t, nil)
		s := &unotify.Supervisor{KeepRunning: true}
		targets := []*target{p.begin("one"), p.begin("two"), p.begin("three")}
		ctx, cancel := context.WithCancel(background)
		come, told := make(chan struct{}, 3), 0
		ended := make(chan error)
		go func() {
			ended <- p.Serve(ctx, s, func(*unotify.Container) error {
				come <- struct{}{}
				return nil
			}, func(c *unotify.Container) {
				told++
				panic(c.ID)
			})
		}()
		for range targets {
			<-come
		}
		eventually(t, "all are served", func() bool { return s.Stats().Listeners == 3 })
		cancel()
		wantError(t, <-ended, context.Canceled)
		ours, theirs := connection(t)
		theirs.Close()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			if how == "close" {
				s.Close()
			} else {
				p.HandOver(background, ours, s)
			}
		}()
		if told != 3 {
			t.Errorf("%s: of %d was told", how, told)
		}
		if how == "hand over" { // Which failed: they are here.
			for range targets {
				must(t, p.accept().Close())
			}
		}
		for _, it := range targets {
			it.getppid()
			if _, errno := it.result(); errno != syscall.ENOSYS {
				t.Error(errno)
			}
		}
	}
}

// Accepting, putting back, serving and failing to hand over, all at once: in the end every container is there once.
func TestNoContainerIsLostBetweenThoseWhoWantIt(t *testing.T) {
	guard(t, 2*patience)
	const containers = 4
	p := startAgent(t, nil)
	targets := map[string]*target{}
	for i := 0; i < containers; i++ {
		id := fmt.Sprint("box", i)
		targets[id] = p.begin(id)
	}
	end := time.Now().Add(500 * time.Millisecond)
	var all sync.WaitGroup
	again := func(what func(ctx context.Context) error, allowed ...error) {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := 0; time.Now().Before(end); i++ {
				ctx, cancel := context.WithTimeout(background, time.Duration(i%5)*time.Millisecond)
				err := what(ctx)
				cancel()
				for _, one := range append(allowed, context.DeadlineExceeded, nil) {
					if errors.Is(err, one) {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := 0; i < 3; i++ {
		again(func(ctx context.Context) error {
			box, err := p.Accept(ctx)
			if err != nil {
				return err
			}
			defer box.Close()
			listener, err := box.TakeListener()
			must(t, err)
			return p.PutBack(listener)
		})
	}
	s := &unotify.Supervisor{KeepRunning: true}
	defer s.Close()
	must(t, s.On("getppid", sum))
	again(func(ctx context.Context) error { return p.Serve(ctx, s, nil, nil) })
	for i := 0; i < 2; i++ {
		again(func(ctx context.Context) error {
			ours, theirs := connection(t)
			defer ours.Close()
			theirs.Close()
			return p.HandOver(ctx, ours, s)
		}, unotify.ErrClosed)
	}
	all.Wait()
	ours, theirs := connection(t)
	theirs.Close()
	wantError(t, p.HandOver(background, ours, s), unotify.ErrClosed)
	for i := 0; i < containers; i++ {
		box := p.accept()
		it := targets[box.ID]
		delete(targets, box.ID)
		if it == nil {
			t.Fatal(box.ID, " comes twice")
		}
		listener, err := box.TakeListener()
		must(t, err)
		must(t, box.Close())
		it.getppid()
		n := receive(t, listener)
		must(t, n.ReplyValue(6))
		it.gets(6)
		must(t, n.Close())
		must(t, listener.Close())
	}
}
