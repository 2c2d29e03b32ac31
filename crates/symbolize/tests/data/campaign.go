// Everything that makes chains interesting: generic functions and types, closures, methods called
// through interfaces and embedded types, defer, recover, goroutines, and much of the standard library.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strings"
	"sync"
	"text/template"
	"time"
)

type Number interface{ ~int | ~int64 | ~float64 }

type List[T any] struct {
	head *node[T]
	size int
}

type node[T any] struct {
	value T
	next  *node[T]
}

func (l *List[T]) Push(value T) { l.head = &node[T]{value, l.head}; l.size++ }

func (l *List[T]) Each(visit func(T)) {
	for n := l.head; n != nil; n = n.next {
		visit(n.value)
	}
}

func Map[T, U any](list *List[T], f func(T) U) *List[U] {
	out := &List[U]{}
	list.Each(func(v T) { out.Push(f(v)) })
	return out
}

func Sum[T Number](values ...T) (total T) {
	for _, v := range values {
		total = add(total, v)
	}
	return total
}

func add[T Number](a, b T) T { return a + b }

type Shape interface {
	Area() float64
	Name() string
}

type Square struct{ Side float64 }

func (s Square) Area() float64 { return square(s.Side) }
func (s Square) Name() string  { return "square" }

type Named struct{ Square }

type Counter struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *Counter) Add(word string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[clean(word)]++
	return c.seen[clean(word)]
}

func square(x float64) float64 { return x * x }
func clean(s string) string    { return strings.ToLower(strings.TrimSpace(s)) }

func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("recovered: %v", r)
		}
	}()
	return f()
}

func pipeline(words []string) map[string]int {
	counter := Counter{seen: map[string]int{}}
	var wait sync.WaitGroup
	for _, word := range words {
		wait.Add(1)
		go func(w string) {
			defer wait.Done()
			counter.Add(w)
		}(word)
	}
	wait.Wait()
	return counter.seen
}

func main() {
	started := time.Now()
	list := &List[int]{}
	for i := range os.Args {
		list.Push(i)
	}
	Map(list, func(i int) string { return fmt.Sprint(i) }).Each(func(s string) { fmt.Println(s) })
	for _, shape := range []Shape{Square{2}, &Square{3}, Named{Square{4}}, &Named{Square{5}}} {
		fmt.Println(shape.Name(), shape.Area())
	}
	words := regexp.MustCompile(`\W+`).Split(strings.Repeat("one two Three ", 10), -1)
	sort.Slice(words, func(i, j int) bool { return words[i] < words[j] })
	text, err := json.Marshal(pipeline(words))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = io.Copy(writer, bytes.NewReader(text))
	_ = writer.Close()
	page := template.Must(template.New("page").Parse("{{range .}}{{.}} {{end}}\n"))
	_ = page.Execute(os.Stdout, words)
	target, _ := url.Parse("https://example.org/a?b=c")
	fmt.Println(target.Host, Sum(1, 2, 3), Sum(1.5, 2.5), packed.Len(), fromC(len(words)))
	fmt.Println(guarded(func() error { panic(errors.New("no")) }), time.Since(started) > 0)
}
