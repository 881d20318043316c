// Where the service's numbers come from: text and JSON bodies, and the input
// file, which is parsed once and again when it changes.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"
)

// A parser appends the numbers of text, at least one and at most max, to dst.
type parser func(dst []int64, text []byte, max int) ([]int64, error)

// safeDigits is how many decimal digits always fit an int64.
const safeDigits = 18

func isSeparator(c byte) bool {
	return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t' ||
		c == '\v' || c == '\f'
}

// parseText reads integers separated by white space or commas.
func parseText(dst []int64, text []byte, max int) ([]int64, error) {
	for i := 0; ; {
		for i < len(text) && isSeparator(text[i]) {
			i++
		}
		if i == len(text) {
			break
		}
		value, end, err := parseInteger(text, i)
		if err != nil {
			return dst, err
		}
		if len(dst) == max {
			return dst, errTooMany
		}
		dst = append(dst, value)
		i = end
	}
	if len(dst) == 0 {
		return dst, errEmpty
	}
	return dst, nil
}

// parseInteger reads the token that starts at text[start] and returns its
// value and where it ends.
func parseInteger(text []byte, start int) (int64, int, error) {
	i := start
	negative := text[i] == '-'
	if negative {
		i++
	}
	first := i
	var value uint64
	for _, c := range text[i:min(i+safeDigits, len(text))] {
		if c-'0' > 9 {
			break
		}
		value = value*10 + uint64(c-'0')
		i++
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		digit := uint64(text[i] - '0')
		if value > (limit-digit)/10 {
			return 0, 0, fmt.Errorf("integer overflow at byte %d", start)
		}
		value = value*10 + digit
	}
	if i == first || (i < len(text) && !isSeparator(text[i])) {
		return 0, 0, fmt.Errorf("not an integer at byte %d", start)
	}
	if negative {
		return int64(-value), i, nil
	}
	return int64(value), i, nil
}

// parseJSON reads an array of integers with the standard library.
func parseJSON(dst []int64, text []byte, max int) ([]int64, error) {
	if err := json.Unmarshal(text, &dst); err != nil {
		return dst, err
	}
	if len(dst) == 0 {
		return dst, errEmpty
	}
	if len(dst) > max {
		return dst, errTooMany
	}
	return dst, nil
}

// inputFile is the parsed input file; load may be called by all goroutines.
type inputFile struct {
	path    string
	current atomic.Pointer[parsedFile]
}

type parsedFile struct {
	modified time.Time
	info     os.FileInfo
	numbers  []int64
}

// load returns the file's numbers, which the caller must not change.
func (f *inputFile) load(max int) ([]int64, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, err
	}
	known := f.current.Load()
	if known != nil && known.modified.Equal(info.ModTime()) &&
		known.info.Size() == info.Size() && os.SameFile(known.info, info) {
		return known.numbers, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	parse := parseText
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		parse = parseJSON
	}
	numbers, err := parse(nil, text, max)
	if err != nil {
		return nil, err
	}
	f.current.Store(&parsedFile{info.ModTime(), info, numbers})
	return numbers, nil
}
