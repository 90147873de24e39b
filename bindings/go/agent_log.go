package unotify

// #include <stdint.h>
import "C"

import (
	"runtime/cgo"
	"sync"
)

// refusals are the sentences that an agent has said and nobody was told yet. They are told outside of C, which neither
// a panic nor a call that ends its goroutine may leave.
type refusals struct {
	log       func(string)
	mu        sync.Mutex
	sentences []string
}

// In a file of its own, as what is exported to C must not stand beside definitions of C.
//
//export shim_agent_log
func shim_agent_log(sentence *C.char, data C.uintptr_t) {
	r, _ := cgo.Handle(data).Value().(*refusals)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentences = append(r.sentences, C.GoString(sentence))
}

func (r *refusals) tell() {
	if r == nil {
		return
	}
	r.mu.Lock()
	sentences := r.sentences
	r.sentences = nil
	r.mu.Unlock()
	for _, sentence := range sentences {
		r.log(sentence)
	}
}
