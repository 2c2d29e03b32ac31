// A service of which most work is C code, compiled as cgo does by default: -O2, no frame pointers.
//
// digest SECONDS: main.handle → main.serve → digest() → mix(), as fast as it can.
package main

/*
static unsigned long __attribute__((noipa)) mix(unsigned long state, unsigned long rounds) {
	for (unsigned long i = 0; i < rounds; i++)
		state = state * 6364136223846793005UL + 1442695040888963407UL;
	return state;
}

// Adds to what mix() returns, so that the call is no jump.
static unsigned long __attribute__((noipa)) digest(unsigned long state) {
	return mix(state, 50000) + mix(state + 1, 50000);
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

var (
	end  time.Time
	done = make(chan uint64)
)

//go:noinline
func serve(state uint64) uint64 {
	return uint64(C.digest(C.ulong(state))) + 1
}

//go:noinline
func handle(state uint64) uint64 {
	return serve(state) * 3
}

// What each goroutine runs: without arguments, so that the compiler makes no wrapper around it.
func work() {
	state := uint64(1)
	for time.Now().Before(end) {
		state = handle(state)
	}
	done <- state
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "digest SECONDS")
		os.Exit(2)
	}
	end = time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for i := 0; i < 2; i++ {
		go work()
	}
	fmt.Println(<-done + <-done)
}
