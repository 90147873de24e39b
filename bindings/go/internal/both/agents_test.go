package both_test

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	unotify "libunotify/go"
	"libunotify/go/internal/target"
	"libunotify/go/notify"
)

// corpus is what the C library's fuzzer has found. The first byte of each input is no part of the message.
const corpus = "../../../../fuzz/corpus/message"

// outcome is what an agent makes of a message: what it says of the container, or why it refuses it.
type outcome struct{ container, refused string }

// tried sends a message with a listener to the agent at a path, which looks until something has come of it.
func tried(t *testing.T, path string, message []byte, listener int, look func() outcome) outcome {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err := conn.WriteMsgUnix(message, syscall.UnixRights(listener), nil); err != nil {
		t.Fatal(err)
	}
	_ = conn.CloseWrite()
	found := look()
	if found == (outcome{}) {
		t.Fatalf("nothing came of %q", message)
	}
	// What the two parsers say of bad JSON is their own.
	_, found.refused, _ = strings.Cut(found.refused, ": ")
	if noJSON := "its message is no JSON: "; strings.HasPrefix(found.refused, noJSON) {
		found.refused = noJSON
	}
	return found
}

// mutated changes a few bytes to what means something in JSON.
func mutated(random *rand.Rand, text []byte) []byte {
	const alphabet = "{}[]\",:\\u0123456789eE.-+dDfn \n\t\x00\x7f\xc3\xa4\xff"
	text = append([]byte(nil), text...)
	for i := 1 + random.Intn(3); i > 0; i-- {
		at := random.Intn(len(text))
		switch random.Intn(3) {
		case 0:
			text[at] = alphabet[random.Intn(len(alphabet))]
		case 1:
			text = append(text[:at], text[at+1:]...)
		default:
			text = append(text[:at], append([]byte{alphabet[random.Intn(len(alphabet))]}, text[at:]...)...)
		}
		if len(text) == 0 {
			return []byte("{")
		}
	}
	return text
}

func TestBothAgentsTakeTheSameAndRefuseTheSame(t *testing.T) {
	const times = 30 // each input is changed
	inputs, err := os.ReadDir(corpus)
	if err != nil || len(inputs) < 50 {
		t.Fatal(len(inputs), err)
	}
	it := start(t, "line")
	where := t.TempDir()
	paths := [2]string{filepath.Join(where, "cgo"), filepath.Join(where, "go")}
	var refused string
	enough := func() {}
	log := func(why string) {
		refused = why
		enough()
	}
	cgo, err := unotify.NewAgent(paths[0], &unotify.AgentOptions{Log: log, MaxMessage: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer cgo.Close()
	pure, err := notify.NewAgent(paths[1], &notify.AgentOptions{Log: log, MaxMessage: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer pure.Close()
	look := func(accept func(context.Context) (string, error)) outcome {
		ctx, cancel := context.WithTimeout(context.Background(), target.Patience/4)
		defer cancel()
		refused, enough = "", cancel
		said, _ := accept(ctx)
		return outcome{said, refused}
	}
	looks := [2]func() outcome{
		func() outcome {
			return look(func(ctx context.Context) (string, error) {
				c, err := cgo.Accept(ctx)
				if err != nil {
					return "", err
				}
				defer c.Close()
				return fmt.Sprint("container ", c.ID, c.Bundle, c.Status, c.Metadata, c.Version, c.Annotations, c.Pid, c.InitPid), nil
			})
		},
		func() outcome {
			return look(func(ctx context.Context) (string, error) {
				c, err := pure.Accept(ctx)
				if err != nil {
					return "", err
				}
				defer c.Close()
				return fmt.Sprint("container ", c.ID, c.Bundle, c.Status, c.Metadata, c.Version, c.Annotations, c.Pid, c.InitPid), nil
			})
		},
	}
	random := rand.New(rand.NewSource(1))
	reasons := map[string]int{}
	containers := 0
	check := func(message []byte) {
		t.Helper()
		var found [2]outcome
		for i := range found {
			found[i] = tried(t, paths[i], message, it.listener.Fd(), looks[i])
		}
		if found[0] != found[1] {
			t.Errorf("%q: %+v with cgo, %+v without", message, found[0], found[1])
		}
		if reasons[found[0].refused]++; found[0].container != "" {
			containers++
		}
	}
	for _, input := range inputs {
		text, err := os.ReadFile(filepath.Join(corpus, input.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < 2 {
			continue
		}
		check(text[1:])
		for i := 0; i < times; i++ {
			check(mutated(random, text[1:]))
		}
	}
	t.Logf("%d containers, and %d reasons to refuse: %v", containers, len(reasons), reasons)
	if containers == 0 || len(reasons) < 10 {
		t.Error("there are too few")
	}
}
