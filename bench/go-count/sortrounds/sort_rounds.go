// Command sortrounds is the Go side of bench/plugins: it times slices.Sort on
// the rounds that it is asked for, one line each on standard input:
//
//	NAME FILE SIZE ARRAYS
//
// FILE holds native int64 values, back to back, of which the first ARRAYS
// arrays of SIZE values are copied and sorted. The reply is one line: the CPU
// nanoseconds of all sorts together, or `error:` and what was wrong. NAME says
// which algorithm and can only be `go`.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID

// threadCPU returns the CPU time of the calling thread in nanoseconds.
func threadCPU() (int64, error) {
	var now syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU,
		uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		return 0, errno
	}
	return now.Nano(), nil
}

// load keeps the values of the file that was asked for last.
func load(path string, kept *string, values []int64) ([]int64, error) {
	if *kept == path {
		return values, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) < 8 || len(text)%8 != 0 {
		return nil, fmt.Errorf("%s: not a file of int64 values", path)
	}
	*kept = path
	loaded := make([]int64, len(text)/8)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&loaded[0])), len(text)), text)
	return loaded, nil
}

func round(values []int64, size, arrays int) (int64, error) {
	if size < 1 || arrays < 1 || arrays > len(values)/size {
		return 0, fmt.Errorf("%d arrays of %d values are not in the file",
			arrays, size)
	}
	scratch := slices.Clone(values[:size*arrays])
	start, err := threadCPU()
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(scratch); at += size {
		slices.Sort(scratch[at : at+size])
	}
	end, err := threadCPU()
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(scratch); at += size {
		if !slices.IsSorted(scratch[at : at+size]) {
			return 0, fmt.Errorf("not sorted")
		}
	}
	return end - start, nil
}

func main() {
	runtime.LockOSThread() // the clock is that of one thread
	var kept string
	var values []int64
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var name, path string
		var size, arrays int
		_, err := fmt.Sscan(lines.Text(), &name, &path, &size, &arrays)
		if err == nil && name != "go" {
			err = fmt.Errorf("no algorithm %q", name)
		}
		if err == nil {
			values, err = load(path, &kept, values)
		}
		var elapsed int64
		if err == nil {
			elapsed, err = round(values, size, arrays)
		}
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(elapsed)
	}
}
