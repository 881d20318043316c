// Command go-count is the rival of the count module in bench/count: the same
// service on net/http and slices.Sort, written as a Go team that cares for
// speed would write it: pooled buffers, a hand-written text parser, the parsed
// input file kept until the file changes. It has no dependencies.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

const maxBody = 64 << 20

var (
	errEmpty   = errors.New("no numbers in input")
	errTooMany = errors.New("too many numbers")
)

// answer has the fields of the count module's answer, in its order.
type answer struct {
	Algorithm string `json:"algorithm"`
	Version   string `json:"version"`
	Count     int    `json:"count"`
	Distinct  int    `json:"distinct"`
	Min       int64  `json:"min"`
	Max       int64  `json:"max"`
	Median    int64  `json:"median"`
	SortNs    int64  `json:"sort_ns"`
}

type failure struct {
	Error string `json:"error"`
}

// service holds the configuration; input and both pools are safe for all
// goroutines.
type service struct {
	input     inputFile
	maxValues int
	bodies    sync.Pool // *bytes.Buffer
	values    sync.Pool // *[]int64
}

func newService(input string, maxValues int) *service {
	return &service{
		input:     inputFile{path: input},
		maxValues: maxValues,
		bodies:    sync.Pool{New: func() any { return new(bytes.Buffer) }},
		values:    sync.Pool{New: func() any { return new([]int64) }},
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		s.sortInput(w, r)
	case http.MethodPost:
		s.sortBody(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		fail(w, http.StatusMethodNotAllowed, errors.New("method not allowed"))
	}
}

func (s *service) sortInput(w http.ResponseWriter, r *http.Request) {
	if s.input.path == "" {
		fail(w, http.StatusNotFound, errors.New("no input file"))
		return
	}
	numbers, err := s.input.load(s.maxValues)
	if err != nil {
		fail(w, inputStatus(err), err)
		return
	}
	values := s.values.Get().(*[]int64)
	defer s.values.Put(values)
	*values = append((*values)[:0], numbers...)
	reply(w, http.StatusOK, count(*values))
}

func (s *service) sortBody(w http.ResponseWriter, r *http.Request) {
	parse, ok := parserFor(r.Header.Get("Content-Type"))
	if !ok {
		fail(w, http.StatusUnsupportedMediaType,
			errors.New("neither text/plain nor application/json"))
		return
	}
	body := s.bodies.Get().(*bytes.Buffer)
	defer s.bodies.Put(body)
	body.Reset()
	if n := r.ContentLength; n > 0 && n <= maxBody {
		body.Grow(int(n) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		fail(w, bodyStatus(err), err)
		return
	}
	values := s.values.Get().(*[]int64)
	defer s.values.Put(values)
	var err error
	*values, err = parse((*values)[:0], body.Bytes(), s.maxValues)
	if err != nil {
		fail(w, parseStatus(err), err)
		return
	}
	reply(w, http.StatusOK, count(*values))
}

func parserFor(contentType string) (parser, bool) {
	if contentType == "" {
		return parseText, true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, false
	}
	switch kind {
	case "text/plain":
		return parseText, true
	case "application/json":
		return parseJSON, true
	}
	return nil, false
}

// count sorts values, which are not empty, in place and describes them.
func count(values []int64) answer {
	start := time.Now()
	slices.Sort(values)
	elapsed := time.Since(start)

	distinct := 1
	for i := 1; i < len(values); i++ {
		if values[i] != values[i-1] {
			distinct++
		}
	}
	return answer{
		Algorithm: "slices.Sort",
		Version:   runtime.Version(),
		Count:     len(values),
		Distinct:  distinct,
		Min:       values[0],
		Max:       values[len(values)-1],
		Median:    values[(len(values)-1)/2],
		SortNs:    elapsed.Nanoseconds(),
	}
}

func parseStatus(err error) int {
	if errors.Is(err, errTooMany) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func inputStatus(err error) int {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return http.StatusInternalServerError
	}
	return parseStatus(err)
}

func bodyStatus(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, failure{err.Error()})
}

func reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	input := flag.String("input", "", "file that a GET sorts")
	maxValues := flag.Int("max-values", 100<<10, "larger input is 413")
	version := flag.Bool("version", false, "print the version of Go and leave")
	flag.Parse()
	if *version {
		fmt.Println(runtime.Version())
		return
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	// Who started us reads the port from this line.
	fmt.Println(listener.Addr())

	mux := http.NewServeMux()
	mux.Handle("/count", newService(*input, *maxValues))
	server := http.Server{Handler: mux, ReadHeaderTimeout: 60 * time.Second}
	log.Fatal(server.Serve(listener))
}
