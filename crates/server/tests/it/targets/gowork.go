// Goroutines, the garbage collector, a library of generic functions, a lock.
package main

import (
	"sort"
	"sync"
	"time"
)

var (
	lock sync.Mutex
	sink any
)

//go:noinline
func leaf(n int) float64 {
	s := 0.0
	for i := 1; i < n; i++ {
		s += 1.0 / (float64(i)*float64(i) + s)
	}
	return s
}

//go:noinline
func allocate() {
	var all [][]byte
	for i := 0; i < 2000; i++ {
		all = append(all, make([]byte, 1000))
	}
	sink = all
}

//go:noinline
func locked() {
	lock.Lock()
	defer lock.Unlock()
	leaf(20000)
}

//go:noinline
func sorter() {
	all := make([]int, 20000)
	for i := range all {
		all[i] = (i * 7919) % 20011
	}
	sort.Ints(all)
}

func main() {
	for i := 0; i < 2; i++ {
		go func() {
			for {
				leaf(30000)
				allocate()
				locked()
				sorter()
			}
		}()
	}
	time.Sleep(300 * time.Second)
}
