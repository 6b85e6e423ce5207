package repo

import (
	"slices"
	"sort"
	"sync"
)

// nameList is a sorted list of names that is loaded when it is first needed and
// kept up to date from then on. Its zero value is not loaded.
type nameList struct {
	mu     sync.Mutex
	loaded bool
	bytes  int
	// chunks hold the names in order, none of them empty and none longer than
	// maxChunk, so that an insertion moves little.
	chunks [][]string
}

const maxChunk = 512

// page returns up to n names that come after the name after, and whether there
// are more. load is called if the list is not loaded; its names may come in any
// order.
func (l *nameList) page(after string, n int, load func() ([]string, error)) (names []string, more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded {
		all, err := load()
		if err != nil {
			return nil, false, err
		}
		slices.Sort(all)
		for _, name := range all {
			l.bytes += len(name) + 16
		}
		for chunk := range slices.Chunk(all, maxChunk/2) {
			l.chunks = append(l.chunks, slices.Clone(chunk))
		}
		l.loaded = true
	}
	names = make([]string, 0, min(n, maxChunk))
	i := l.chunkOf(after)
	for ; i < len(l.chunks); i++ {
		chunk := l.chunks[i]
		start := sort.Search(len(chunk), func(j int) bool { return chunk[j] > after })
		rest := chunk[start:]
		if room := n - len(names); len(rest) > room {
			return append(names, rest[:room]...), true, nil
		}
		names = append(names, rest...)
	}
	return names, false, nil
}

// chunkOf is the first chunk whose last name is not before name; len(chunks) if
// there is none.
func (l *nameList) chunkOf(name string) int {
	return sort.Search(len(l.chunks), func(i int) bool {
		chunk := l.chunks[i]
		return chunk[len(chunk)-1] >= name
	})
}

// add puts name into the list, if that is loaded. It returns the bytes that the
// list takes.
func (l *nameList) add(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded {
		return 0
	}
	i := min(l.chunkOf(name), max(len(l.chunks)-1, 0))
	if len(l.chunks) == 0 {
		l.chunks = [][]string{{}}
	}
	at, found := slices.BinarySearch(l.chunks[i], name)
	if found {
		return l.bytes
	}
	l.bytes += len(name) + 16
	chunk := slices.Insert(l.chunks[i], at, name)
	l.chunks[i] = chunk
	if len(chunk) > maxChunk {
		half := len(chunk) / 2
		l.chunks[i] = slices.Clone(chunk[:half])
		l.chunks = slices.Insert(l.chunks, i+1, slices.Clone(chunk[half:]))
	}
	return l.bytes
}

// remove takes name out of the list, if that is loaded.
func (l *nameList) remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.chunkOf(name)
	if i == len(l.chunks) {
		return
	}
	at, found := slices.BinarySearch(l.chunks[i], name)
	if !found {
		return
	}
	l.bytes -= len(name) + 16
	l.chunks[i] = slices.Delete(l.chunks[i], at, at+1)
	if len(l.chunks[i]) == 0 {
		l.chunks = slices.Delete(l.chunks, i, i+1)
	}
}

// size is about what the list takes, in bytes.
func (l *nameList) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}
