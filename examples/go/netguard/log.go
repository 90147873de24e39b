package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// A line of the log.
type entry struct {
	Time        time.Time `json:"time"`
	Pid         int       `json:"pid"` // the thread that made the call
	Program     string    `json:"program"`
	Call        string    `json:"call"`
	Family      string    `json:"family"`
	Destination string    `json:"destination"`
	Allowed     bool      `json:"allowed"`
}

type logger struct {
	mu sync.Mutex
	to *json.Encoder
}

func newLogger(to io.Writer) *logger { return &logger{to: json.NewEncoder(to)} }

func (l *logger) write(e entry) {
	e.Time = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	// There is nobody to tell.
	_ = l.to.Encode(e)
}
