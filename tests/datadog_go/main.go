// Command datadog_go is a program as Datadog's users have them: dd-trace-go's
// profiler and tracer, started as their manual says. What it sends is what
// uploads of nginx are compared with.
//
// It works for requests, each a span, until its standard input ends. Where the
// Agent is and what it is called is said by the variables DD_*.
package main

import (
	"context"
	"crypto/sha256"
	"io"
	"log"
	"os"
	"time"

	"github.com/DataDog/dd-trace-go/v2/ddtrace/ext"
	"github.com/DataDog/dd-trace-go/v2/ddtrace/tracer"
	"github.com/DataDog/dd-trace-go/v2/profiler"
)

// period is long enough that each has samples of the CPU.
const period = time.Second

// kept makes the memory of the last request live.
var kept [][]byte

// serve is a request that takes processor time and memory.
func serve() {
	span, _ := tracer.StartSpanFromContext(context.Background(), "http.request",
		tracer.SpanType(ext.SpanTypeWeb), tracer.ResourceName("GET /count"))
	defer span.Finish()

	kept = nil
	for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
		block := make([]byte, 64<<10)
		sum := sha256.Sum256(block)
		kept = append(kept, append(block, sum[:]...))
	}
}

func main() {
	if err := tracer.Start(); err != nil {
		log.Fatal(err)
	}
	defer tracer.Stop()
	err := profiler.Start(
		profiler.WithProfileTypes(profiler.CPUProfile, profiler.HeapProfile),
		profiler.WithPeriod(period), profiler.CPUDuration(period))
	if err != nil {
		log.Fatal(err)
	}
	defer profiler.Stop()

	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return
		default:
			serve()
		}
	}
}
