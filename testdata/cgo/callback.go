// C code, compiled as cgo does by default (-O2, no frame pointers), that calls Go code back.
//
// callback SECONDS: main.handle → main.serve → visit() → each() → main.spin, as fast as it can.
package main

/*
extern unsigned long spin(unsigned long state);

static unsigned long __attribute__((noipa)) each(unsigned long state, unsigned long count) {
	unsigned long sum = 0;
	for (unsigned long i = 0; i < count; i++)
		sum += spin(state + i);
	return sum;
}

// Adds to what each() returns, so that the call is no jump.
static unsigned long __attribute__((noipa)) visit(unsigned long state) {
	return each(state, 3) + each(state + 1, 2);
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
func mix(state, rounds uint64) uint64 {
	for i := uint64(0); i < rounds; i++ {
		state = state*6364136223846793005 + 1442695040888963407
	}
	return state
}

//export spin
func spin(state C.ulong) C.ulong {
	return C.ulong(mix(uint64(state), 50000) + 1)
}

//go:noinline
func serve(state uint64) uint64 {
	return uint64(C.visit(C.ulong(state))) + 1
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
		fmt.Fprintln(os.Stderr, "callback SECONDS")
		os.Exit(2)
	}
	end = time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for i := 0; i < 2; i++ {
		go work()
	}
	fmt.Println(<-done + <-done)
}
