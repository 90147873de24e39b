package notify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Reading is process_vm_readv(2), and after it the check that the notification is pending. The thread
// that waits cannot have been replaced while it waited: if it waits still, its number was its own at the
// time of the read, and so was the memory. Where that call is refused or missing the memory file
// /proc/TID/mem is read instead.
//
// Writing always goes through that file. It stands for the memory that the thread had when it was
// opened, whatever becomes of the number; so one check after opening proves that it is the target's. A
// check before process_vm_writev(2) would say nothing about the moment of the write.

var pageSize = uint64(os.Getpagesize())

// Read fills buffer from the target's memory at addr, wholly or not at all.
//
// It fails with [ErrFault] when any of the bytes is not readable. It waits for as long as the target
// likes where that serves the page itself (userfaultfd(2)).
func (n *Notification) Read(addr uint64, buffer []byte) error {
	looked, err := n.look()
	if err != nil {
		return err
	}
	defer looked.done()
	read := make([]byte, len(buffer))
	if err := looked.read(addr, read); err != nil {
		return err
	}
	copy(buffer, read)
	return nil
}

func (p pendant) read(addr uint64, into []byte) error {
	tid, err := p.target()
	if err != nil {
		return err
	}
	errno := syscall.Errno(0)
	for done := 0; done < len(into) && errno == 0; {
		var count int
		if count, errno = p.fetch(tid, addr+uint64(done), into[done:]); count == 0 && errno == 0 {
			errno = syscall.EFAULT
		}
		done += count
	}
	if err := p.check(); err != nil {
		return err
	}
	return explainMemory(errno, "read", addr)
}

// ReadString copies the string at an address of the target's, which may be limit bytes long, else it is
// [ErrTooLong]. A page is touched only when the string goes on into it.
func (n *Notification) ReadString(addr uint64, limit int) (string, error) {
	if limit < 0 {
		return "", invalid("limit is %d, which is negative", limit)
	}
	text, end, err := n.search(addr, limit+1, func(all []byte, new int) int {
		at := bytes.IndexByte(all[new:], 0)
		if at < 0 {
			return -1
		}
		return new + at
	})
	if err == nil && end < 0 {
		err = failure(ErrTooLong, syscall.ENAMETOOLONG, "the string at %#x is longer than %d bytes", addr, limit)
	}
	if err != nil {
		return "", err
	}
	return string(text[:end]), nil
}

// ReadPointers copies the pointers of a null-terminated array in the target's memory (argv, envp), without
// the terminator; when there are more than limit, it is [ErrTooLong]. 32-bit ones are widened.
func (n *Notification) ReadPointers(addr uint64, limit int) ([]uint64, error) {
	if limit < 0 {
		return nil, invalid("limit is %d, which is negative", limit)
	}
	width := pointerWidth(n.Request())
	pointers := []uint64{}
	_, end, err := n.search(addr, (limit+1)*width, func(all []byte, _ int) int {
		for at := len(pointers) * width; at+width <= len(all); at += width {
			pointer := uint64(binary.LittleEndian.Uint32(all[at:]))
			if width == 8 {
				pointer = binary.LittleEndian.Uint64(all[at:])
			}
			if pointer == 0 {
				return at
			}
			pointers = append(pointers, pointer)
		}
		return -1
	})
	if err == nil && end < 0 {
		err = failure(ErrTooLong, syscall.E2BIG, "the array at %#x has more than %d pointers", addr, limit)
	}
	if err != nil {
		return nil, err
	}
	return pointers, nil
}

// pointerWidth is how wide a pointer is in such a call.
func pointerWidth(request Request) int {
	const bits64 = 0x80000000 // __AUDIT_ARCH_64BIT
	isX32 := x32Bit != 0 && request.Arch == nativeArch && request.Syscall&x32Bit != 0
	if request.Arch&bits64 != 0 && !isX32 {
		return 8
	}
	return 4
}

// search reads page by page, at most limit bytes, until find gives an index that is not negative; it is
// given everything and where the latest bytes begin.
func (n *Notification) search(addr uint64, limit int, find func(all []byte, new int) int) ([]byte, int, error) {
	looked, err := n.look()
	if err != nil {
		return nil, -1, err
	}
	defer looked.done()
	tid, err := looked.target()
	if err != nil {
		return nil, -1, err
	}
	var all []byte
	end, errno := -1, syscall.Errno(0)
	for len(all) < limit && end < 0 && errno == 0 {
		had := len(all)
		at := addr + uint64(had)
		want := int(pageSize - at%pageSize)
		if want > limit-had {
			want = limit - had
		}
		all = append(all, make([]byte, want)...)
		var count int
		if count, errno = looked.fetch(tid, at, all[had:]); count == 0 && errno == 0 {
			errno = syscall.EFAULT
		}
		all = all[:had+count]
		end = find(all, had)
	}
	if err := looked.check(); err != nil {
		return nil, -1, err
	}
	if end < 0 {
		err = explainMemory(errno, "read", addr)
	}
	return all, end, err
}

// fetch is one read, not yet checked to be of the target. The count falls short where memory ends.
func (p pendant) fetch(tid int, addr uint64, into []byte) (int, syscall.Errno) {
	count, errno := readMemory(tid, addr, into)
	if errno != syscall.ENOSYS && errno != syscall.EPERM {
		return count, errno
	}
	// The file may be refused as well; then the first reason is the better one.
	file, err := p.openMemory(tid, os.O_RDONLY)
	if err != nil {
		return 0, errno
	}
	defer file.Close()
	return result(file.ReadAt(into, int64(addr)))
}

func readMemory(tid int, addr uint64, into []byte) (int, syscall.Errno) {
	if len(into) == 0 {
		return 0, 0
	}
	type vector struct {
		base   uint64
		length uint64
	}
	local := struct {
		base   *byte
		length uint64
	}{&into[0], uint64(len(into))}
	remote := vector{addr, uint64(len(into))}
	for {
		count, _, errno := syscall.Syscall6(sysProcessVMReadv, uintptr(tid), uintptr(unsafe.Pointer(&local)), 1,
			uintptr(unsafe.Pointer(&remote)), 1, 0)
		if errno == 0 {
			return int(count), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// openMemory opens the memory file and checks that it is the target's.
func (p pendant) openMemory(tid, how int) (*os.File, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), how, 0)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// checkProc fails unless /proc numbers processes as this process does.
func checkProc() error {
	own, err := os.Readlink("/proc/self")
	if err == nil && own != strconv.Itoa(os.Getpid()) {
		err = syscall.ENOENT
	}
	return err
}

// Write copies data into the target's memory at addr, which has to be writable to the target itself. No
// other process can be hit, whatever becomes of the target. The list of the target's mappings is read up
// to there, and no more than a MiB of it, some ten thousand.
//
// It fails with [ErrFault] when any of the bytes is not writable, and none is written, unless the target
// unmaps it at that moment. [ErrGone] can come after the bytes were written.
func (n *Notification) Write(addr uint64, data []byte) error {
	looked, err := n.look()
	if err != nil {
		return err
	}
	defer looked.done()
	tid, err := looked.target()
	if err != nil {
		return err
	}
	memory, err := looked.openMemory(tid, os.O_RDWR)
	if err != nil {
		return looked.explain(err, "write the target's memory")
	}
	defer memory.Close()
	errno := checkWritable(tid, addr, uint64(len(data)))
	if err := looked.check(); err != nil {
		return err
	}
	// From here on the file is known to be the target's.
	for done := 0; done < len(data) && errno == 0; {
		var count int
		if count, errno = result(memory.WriteAt(data[done:], int64(addr)+int64(done))); count == 0 && errno == 0 {
			errno = syscall.EFAULT
		}
		done += count
	}
	if err := looked.check(); err != nil {
		return err
	}
	return explainMemory(errno, "write", addr)
}

// checkWritable gives EFAULT unless all addresses are writable to the target itself, which its memory
// file does not ask; E2BIG when too many mappings lie below.
func checkWritable(tid int, addr, length uint64) syscall.Errno {
	const mostText = 1 << 20
	file, err := os.Open(fmt.Sprintf("/proc/%d/maps", tid))
	if err != nil {
		return errnoOf(err)
	}
	defer file.Close()
	end := addr + length
	if end < addr {
		return syscall.EFAULT
	}
	var text []byte
	for covered, total := addr, 0; covered < end; {
		chunk := make([]byte, 1<<14)
		count, err := file.Read(chunk)
		if err != nil && err != io.EOF {
			return errnoOf(err)
		}
		text = append(text, chunk[:count]...)
		if total += count; total > mostText {
			return syscall.E2BIG
		}
		for {
			line, rest, whole := bytes.Cut(text, []byte("\n"))
			if !whole {
				break
			}
			text = rest
			from, to, writable := mapping(string(line))
			switch {
			case to <= covered:
			case from > covered || !writable:
				return syscall.EFAULT
			default:
				covered = to
			}
			if covered >= end {
				return 0
			}
		}
		if count == 0 {
			return syscall.EFAULT
		}
	}
	return 0
}

// mapping takes a line of /proc/PID/maps apart.
func mapping(line string) (from, to uint64, writable bool) {
	span, rest, _ := strings.Cut(line, " ")
	first, last, _ := strings.Cut(span, "-")
	from, _ = strconv.ParseUint(first, 16, 64)
	to, _ = strconv.ParseUint(last, 16, 64)
	return from, to, len(rest) > 1 && rest[1] == 'w'
}

// result is what came of an access to a file, of which the end is not one.
func result(count int, err error) (int, syscall.Errno) {
	if err == nil || err == io.EOF || count > 0 {
		return count, 0
	}
	return 0, errnoOf(err)
}

// explainMemory says what a failed access means, for a target that still waits.
func explainMemory(errno syscall.Errno, verb string, addr uint64) error {
	switch errno {
	case 0:
		return nil
	case syscall.EFAULT, syscall.EIO, syscall.EINVAL:
		return failure(ErrFault, syscall.EFAULT,
			"cannot %s the target's memory at %#x: not accessible there", verb, addr)
	case syscall.E2BIG:
		return failure(ErrUnsupported, syscall.ENOSYS, "the target has too many mappings to be written to")
	case syscall.EPERM, syscall.EACCES:
		return forbidden(errno, verb+" the target's memory")
	}
	return system(errno, verb+" the target's memory")
}
