package notify

import "errors"

// Where a JSON value ends, as its bytes come. Who sends it keeps the connection open, so its end is all there is to go
// by. This counts brackets outside of strings and looks at each byte once, however small the parts are that come;
// whether the value is well formed beyond that is for the parser to say.

// A framing is what was seen of an object so far.
type framing struct {
	open     []byte // the brackets that are open, as they are to be closed
	inString bool
	escaped  bool
}

// mostDepth is how many brackets may be open. The parser takes one less.
const mostDepth = 128

var (
	errNoBrace    = errors.New("it does not begin with a brace")
	errTooDeep    = errors.New("it is nested too deep")
	errBrackets   = errors.New("its brackets do not match")
	errMoreBehind = errors.New("more follows its message")
)

// push looks at the next bytes, not after the end. It gives where the object ends, counted from the first of these, or
// -1 when more is to come. It fails when this is no object.
func (f *framing) push(some []byte) (end int, err error) {
	for at, b := range some {
		if f.inString {
			switch {
			case f.escaped:
				f.escaped = false
			case b == '\\':
				f.escaped = true
			case b == '"':
				f.inString = false
			}
			continue
		}
		if len(f.open) == 0 && isSpace(b) {
			continue
		}
		if len(f.open) == 0 && b != '{' {
			return -1, errNoBrace
		}
		switch b {
		case '{', '[':
			if len(f.open) == mostDepth {
				return -1, errTooDeep
			}
			f.open = append(f.open, b+2) // which closes it, in ASCII
		case '}', ']':
			last := len(f.open) - 1
			if f.open[last] != b {
				return -1, errBrackets
			}
			if f.open = f.open[:last]; last == 0 {
				return at + 1, nil
			}
		case '"':
			f.inString = true
		}
	}
	return -1, nil
}

// isSpace is what may stand around values in JSON.
func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }
