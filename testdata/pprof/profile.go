// A CPU profile with labels and inlined calls, and a heap profile.
package main

import (
	"context"
	"os"
	"runtime/pprof"
	"strings"
	"time"
)

func inner(n int) int {
	s := 0
	for i := 0; i < n; i++ {
		s += i ^ (s << 1)
	}
	return s
}

//go:noinline
func work(n int) int { return inner(n) + inner(n/2) }

func create(name string) *os.File {
	f, err := os.Create(name)
	if err != nil {
		panic(err)
	}
	return f
}

func main() {
	cpu := create("cpu.pb.gz")
	if err := pprof.StartCPUProfile(cpu); err != nil {
		panic(err)
	}
	labels := pprof.Labels("handler", "digest")
	end := time.Now().Add(2 * time.Second)
	for time.Now().Before(end) {
		pprof.Do(context.Background(), labels, func(context.Context) { work(1000000) })
		_ = strings.Repeat("abc", 100000)
	}
	pprof.StopCPUProfile()
	cpu.Close()
	heap := create("heap.pb.gz")
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
