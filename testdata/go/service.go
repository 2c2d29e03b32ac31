// A service with a mistake that many have: a middleware reads the whole configuration again on every
// request. Recorded stripped, so that every name, inlined call and line comes from the tables that Go's
// own runtime keeps.
//
//	service serve SECONDS [PROFILE]   prints its address, serves, and writes the runtime's own CPU profile
//	service load ADDRESS              asks it, over and over, on four connections
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

type route struct {
	Path   string            `json:"path"`
	Labels map[string]string `json:"labels"`
	Limits []int             `json:"limits"`
}

type config struct {
	Routes []route `json:"routes"`
}

type request struct {
	path   string
	config *config
}

type handler interface {
	handle(request) string
}

type handlerFunc func(request) string

func (f handlerFunc) handle(r request) string { return f(r) }

// withConfig is the mistake.
func withConfig(raw []byte, next handler) handler {
	return handlerFunc(func(r request) string {
		var c config
		if err := json.Unmarshal(raw, &c); err != nil {
			return err.Error()
		}
		r.config = &c
		return next.handle(r)
	})
}

type number interface{ ~int | ~float64 }

//go:noinline
func sum[T number](values []T) T {
	var total T
	for _, v := range values {
		total += weigh(v)
	}
	return total
}

// weigh is small enough to be inlined into sum.
func weigh[T number](v T) T { return v*v + v }

// matches is inlined into greet.
func matches(r *route, path string) bool { return strings.HasPrefix(path, r.Path) }

//go:noinline
func greet(r request) string {
	total := 0
	for round := 0; round < 60; round++ {
		for i := range r.config.Routes {
			if route := &r.config.Routes[i]; matches(route, r.path) {
				total += sum(route.Limits)
			}
		}
	}
	return "hello " + r.path + " " + strconv.Itoa(total)
}

func largeConfig() []byte {
	var c config
	for i := 0; i < 40; i++ {
		c.Routes = append(c.Routes, route{
			Path:   "/" + strconv.Itoa(i%4),
			Labels: map[string]string{"team": "t" + strconv.Itoa(i), "tier": "frontend"},
			Limits: []int{i, i * 2, i * 3, 100, 200, 300, 400, 500},
		})
	}
	raw, err := json.Marshal(c)
	if err != nil {
		log.Fatal(err)
	}
	return raw
}

func serveConnection(connection net.Conn, h handler) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if _, err := fmt.Fprintln(connection, h.handle(request{path: lines.Text()})); err != nil {
			return
		}
	}
}

func serve(seconds int, profile string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	h := withConfig(largeConfig(), handlerFunc(greet))
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go serveConnection(connection, h)
		}
	}()
	time.Sleep(time.Duration(seconds) * time.Second)
}

func ask(address string) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	for i := 0; ; i++ {
		fmt.Fprintf(connection, "/%d/item\n", i%8)
		if _, err := answers.ReadString('\n'); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) >= 3 {
		switch os.Args[1] {
		case "serve":
			seconds, err := strconv.Atoi(os.Args[2])
			if err != nil {
				log.Fatal(err)
			}
			serve(seconds, strings.Join(os.Args[3:], ""))
			return
		case "load":
			for i := 0; i < 3; i++ {
				go ask(os.Args[2])
			}
			ask(os.Args[2])
			return
		}
	}
	log.Fatal("usage: service serve SECONDS [PROFILE] | load ADDRESS")
}
