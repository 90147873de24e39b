package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What the C library's fuzzer has found is read here as well.
const corpus = "../../../fuzz/corpus/message"

// readInParts reads a text in parts of that size. The message is nil when none has come to its end.
func readInParts(text []byte, size int) ([]byte, error) {
	var m message
	for len(text) > 0 {
		part := text
		if len(part) > size {
			part = part[:size]
		}
		text = text[len(part):]
		if isWhole, err := m.push(part, limits{4096, 16}); isWhole || err != nil {
			return m.bytes, err
		}
	}
	return nil, nil
}

func TestWhereAMessageIsCutMakesNoDifference(t *testing.T) {
	inputs, err := os.ReadDir(corpus)
	if err != nil || len(inputs) < 50 {
		t.Fatal(len(inputs), err)
	}
	isContainer := 0
	for _, input := range inputs {
		text, err := os.ReadFile(filepath.Join(corpus, input.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) < 2 {
			continue
		}
		cut, text := int(text[0])+1, text[1:]
		whole, err := readInParts(text, len(text))
		parts, errOfParts := readInParts(text, cut)
		switch {
		case err != nil && errOfParts != nil:
			continue // be it for another reason
		case errors.Is(err, errMoreBehind):
		case string(whole) != string(parts) || err != nil || errOfParts != nil:
			t.Errorf("%s: %q, %v and %q, %v", input.Name(), whole, err, parts, errOfParts)
		}
		object, err := readJSON(parts)
		if err != nil {
			continue
		}
		first, err := toldBy(object)
		if err != nil {
			continue
		}
		isContainer++
		// What is handed over comes out the same.
		again, err := json.Marshal(first)
		if err == nil {
			object, err = readJSON(again)
		}
		var second *told
		if err == nil {
			second, err = toldBy(object)
		}
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%s: %+v, then %+v, %v", input.Name(), first, second, err)
		}
	}
	if isContainer == 0 {
		t.Error("none of them is a container's")
	}
}

func TestAnObjectEndsWithItsBraceWhereverItIsCut(t *testing.T) {
	whole := []byte(` {"a":"}\"\\","b":[{},{"c":[]}]} `)
	end := len(whole) - 1
	for cut := range whole[:end] {
		var f framing
		if at, err := f.push(whole[:cut]); at >= 0 || err != nil {
			t.Fatal(cut, at, err)
		}
		if at, err := f.push(whole[cut:]); at != end-cut || err != nil {
			t.Fatal(cut, at, err)
		}
	}
}

func TestWhatIsNoObjectIsKnownAsSoonAsCanBe(t *testing.T) {
	for _, text := range []string{"[]", "1", `"`, "\ufeff{}", "\x00", "}", "{]", "{[}", strings.Repeat("{", mostDepth+1)} {
		var f framing
		if at, err := f.push([]byte(text)); err == nil {
			t.Errorf("%q: %d", text, at)
		}
	}
}

func TestHalfCharactersAreFound(t *testing.T) {
	for text, isHalf := range map[string]bool{
		`x`: false, `\\u`: false, `\\\u0041`: false, `\ud83d\ude00`: false, `\uD83D\uDE00\n`: false,
		`\ud83d`: true, `\ude00`: true, `\ud83dx`: true, `\ud83d\n`: true, `\ud83d\ud83d\ude00`: true, `\\\ude00`: true,
	} {
		quoted := fmt.Sprintf(`{"a":"%s"}`, text)
		if !json.Valid([]byte(quoted)) || hasHalfCharacter([]byte(quoted)) != isHalf {
			t.Errorf("%s: not %v", quoted, isHalf)
		}
	}
}
