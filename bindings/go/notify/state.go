package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// What a runtime says of a container: the container process state of the OCI runtime specification, as JSON.

// listenerName is what the descriptors of a message are called that are a listener.
const listenerName = "seccompFd"

// told is a state, and what the descriptors that came with it are called. Its form is that of the message.
type told struct {
	Version  string    `json:"ociVersion"`
	Fds      []string  `json:"fds"`
	Pid      int       `json:"pid"`
	Metadata string    `json:"metadata"`
	State    toldState `json:"state"`
}

type toldState struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	Pid         int               `json:"pid"`
	Bundle      string            `json:"bundle"`
	Annotations map[string]string `json:"annotations"`
}

// readJSON reads an object as strictly as the C library does. Go takes what is no text in a text for U+FFFD, numbers of
// any size, any depth, and the name of a field in capitals for the field.
func readJSON(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("its message is no JSON: it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("its message is no JSON: %w", err)
	}
	if hasHalfCharacter(text) {
		return nil, errors.New("its message is no JSON: half a character is escaped in it")
	}
	if err := checkValues(object, 1); err != nil {
		return nil, fmt.Errorf("its message is no JSON: %w", err)
	}
	return object, nil
}

// hasHalfCharacter tells whether an escape in valid JSON is a surrogate without the other.
func hasHalfCharacter(text []byte) bool {
	for {
		_, behind, found := bytes.Cut(text, []byte(`\`))
		if !found {
			return false
		}
		text = behind[1:]
		if behind[0] != 'u' {
			continue
		}
		first := escaped(behind[1:5])
		if text = behind[5:]; !utf16.IsSurrogate(first) {
			continue
		}
		if !bytes.HasPrefix(text, []byte(`\u`)) || utf16.DecodeRune(first, escaped(text[2:6])) == unicode.ReplacementChar {
			return true
		}
		text = text[6:]
	}
}

func escaped(digits []byte) rune {
	number, _ := strconv.ParseUint(string(digits), 16, 16)
	return rune(number)
}

// checkValues refuses numbers that cannot be had in 64 bits, be it roughly, and what is nested too deep.
func checkValues(value any, depth int) error {
	var err error
	check := func(value any) {
		if err == nil {
			err = checkValues(value, depth+1)
		}
	}
	switch value := value.(type) {
	case json.Number:
		_, err = value.Float64()
		return err
	case []any:
		for _, one := range value {
			check(one)
		}
	case map[string]any:
		for _, one := range value {
			check(one)
		}
	default:
		return nil
	}
	if depth >= mostDepth {
		return errTooDeep
	}
	return err
}

// toldBy takes what is needed of a message, or says why it is none.
func toldBy(message any) (*told, error) {
	r := &reader{}
	all := r.object(message, "message")
	state, isThere := all["state"]
	if !isThere {
		r.fail("its message has no `state`")
	}
	its := r.object(state, "`state`")
	version := r.text(all, "ociVersion")
	if version == "" {
		version = r.text(its, "ociVersion")
	}
	if _, isThere := its["id"]; !isThere {
		r.fail("its `state` has no `id`")
	}
	t := &told{Version: version, State: toldState{Version: version}}
	t.State.ID = r.text(its, "id")
	t.State.Status = r.text(its, "status")
	t.State.Bundle = r.text(its, "bundle")
	t.Metadata = r.text(all, "metadata")
	t.Pid = r.number(all, "pid")
	t.State.Pid = r.number(its, "pid")
	t.State.Annotations = r.annotations(its)
	t.Fds = r.names(all)
	return t, r.err
}

// A reader takes values of an object's. It remembers what failed first.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) object(value any, what string) map[string]any {
	object, isOne := value.(map[string]any)
	if !isOne {
		r.fail("its %s is no object", what)
	}
	return object
}

// text is one without NUL, as C has them; empty where there is none.
func (r *reader) text(from map[string]any, key string) string {
	switch value := from[key].(type) {
	case nil:
		return ""
	case string:
		return r.checked(value, key)
	}
	r.fail("its `%s` is no text", key)
	return ""
}

func (r *reader) checked(text, what string) string {
	if strings.ContainsRune(text, 0) {
		r.fail("its `%s` has a NUL in it", what)
	}
	return text
}

// number is that of a process; 0 where there is none.
func (r *reader) number(from map[string]any, key string) int {
	value := from[key]
	if value == nil {
		return 0
	}
	text, _ := value.(json.Number)
	number, err := strconv.ParseUint(text.String(), 10, 31)
	if err != nil {
		r.fail("its `%s` is no process id", key)
	}
	return int(number)
}

func (r *reader) annotations(state map[string]any) map[string]string {
	all := map[string]string{}
	value := state["annotations"]
	if value == nil {
		return all
	}
	for key, value := range r.object(value, "`annotations`") {
		text, isText := value.(string)
		if !isText {
			r.fail("one of its annotations is no text")
		}
		all[r.checked(key, "annotations")] = r.checked(text, "annotations")
	}
	return all
}

func (r *reader) names(told map[string]any) []string {
	value, isThere := told["fds"]
	if !isThere {
		r.fail("its message names no descriptors (`fds`)")
	}
	list, isList := value.([]any)
	if !isList {
		r.fail("its `fds` is no list")
	}
	names := []string{}
	for _, value := range list {
		name, isText := value.(string)
		if !isText {
			r.fail("its `fds` has no names")
		}
		names = append(names, r.checked(name, "fds"))
	}
	return names
}
