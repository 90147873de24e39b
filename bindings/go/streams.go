package unotify

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// streams are the files of a program: those that are its own, and the ends that are copied from and to.
type streams struct {
	files  []*os.File // By their numbers in the program.
	theirs []*os.File // Of those, what was opened for it.
	ours   []*os.File
	copies []func() error
	done   chan error
}

func (s *Spawn) openStreams() (*streams, error) {
	all := &streams{}
	stdin, err := all.input(s.Stdin)
	if err == nil {
		all.files = append(all.files, stdin)
		var stdout, stderr *os.File
		if stdout, err = all.output(s.Stdout); err == nil {
			if s.Stderr != nil && same(s.Stderr, s.Stdout) {
				stderr = stdout
			} else {
				stderr, err = all.output(s.Stderr)
			}
			all.files = append(append(all.files, stdout, stderr), s.ExtraFiles...)
		}
	}
	if err != nil {
		all.closeTheirs()
		all.closeOurs()
		return nil, err
	}
	return all, nil
}

// Whether two writers are one. What cannot be compared is another.
func same(a, b io.Writer) bool {
	defer func() { _ = recover() }()
	return a == b
}

func (s *streams) input(from io.Reader) (*os.File, error) {
	if from == nil {
		return s.null(os.O_RDONLY)
	}
	if file, ok := from.(*os.File); ok {
		return file, nil
	}
	theirs, ours, err := s.pipe(true)
	if err != nil {
		return nil, err
	}
	s.copies = append(s.copies, func() error {
		_, err := io.Copy(ours, from)
		if errors.Is(err, syscall.EPIPE) {
			err = nil // It did not want all.
		}
		if closed := ours.Close(); err == nil {
			err = closed
		}
		return err
	})
	return theirs, nil
}

func (s *streams) output(to io.Writer) (*os.File, error) {
	if to == nil {
		return s.null(os.O_WRONLY)
	}
	if file, ok := to.(*os.File); ok {
		return file, nil
	}
	theirs, ours, err := s.pipe(false)
	if err != nil {
		return nil, err
	}
	s.copies = append(s.copies, func() error {
		defer ours.Close()
		_, err := io.Copy(to, ours)
		return err
	})
	return theirs, nil
}

func (s *streams) null(flag int) (*os.File, error) {
	file, err := os.OpenFile(os.DevNull, flag, 0)
	if err == nil {
		s.theirs = append(s.theirs, file)
	}
	return file, err
}

func (s *streams) pipe(theyRead bool) (theirs, ours *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	theirs, ours = w, r
	if theyRead {
		theirs, ours = r, w
	}
	s.theirs, s.ours = append(s.theirs, theirs), append(s.ours, ours)
	return theirs, ours, nil
}

func (s *streams) closeTheirs() { closeAll(s.theirs) }
func (s *streams) closeOurs()   { closeAll(s.ours) }

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

func (s *streams) start() {
	s.files, s.theirs = nil, nil
	s.done = make(chan error, len(s.copies))
	for _, copy := range s.copies {
		go func(copy func() error) { s.done <- copy() }(copy)
	}
}

// wait gives the first error of copying.
func (s *streams) wait() (first error) {
	for range s.copies {
		if err := <-s.done; first == nil {
			first = err
		}
	}
	return first
}
