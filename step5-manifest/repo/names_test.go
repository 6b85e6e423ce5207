package repo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A nameList is a sorted slice, only faster: whatever is done to both, they hold
// the same.
func TestNameListIsASortedSlice(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		var model []string
		for range random.IntN(3000) {
			model = append(model, fmt.Sprint(random.IntN(5000)))
		}
		slices.Sort(model)
		model = slices.Compact(model)
		l := new(nameList)
		loads := 0
		load := func() ([]string, error) {
			loads++
			shuffled := slices.Clone(model)
			random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			return shuffled, nil
		}
		// Before it is loaded it holds nothing to keep true.
		l.remove("1")
		if n := l.add("1"); n != 0 {
			t.Fatalf("seed %d: not loaded, but %d bytes", seed, n)
		}
		for range 3000 {
			name := fmt.Sprint(random.IntN(5000))
			if loads == 0 || random.IntN(3) == 0 {
				wantPage(t, l, load, model, name, random.IntN(1500))
				continue
			}
			at, found := slices.BinarySearch(model, name)
			switch add := random.IntN(2) == 0; {
			case add:
				if l.add(name); !found {
					model = slices.Insert(model, at, name)
				}
			default:
				if l.remove(name); found {
					model = slices.Delete(model, at, at+1)
				}
			}
		}
		wantPage(t, l, load, model, "", len(model)+1)
		if loads != 1 {
			t.Errorf("seed %d: loaded %d times", seed, loads)
		}
		bytes := 0
		for _, name := range model {
			bytes += len(name) + 16
		}
		if l.size() != bytes {
			t.Errorf("seed %d: size %d; want %d", seed, l.size(), bytes)
		}
		for _, chunk := range l.chunks {
			if len(chunk) == 0 || len(chunk) > maxChunk {
				t.Errorf("seed %d: a chunk of %d", seed, len(chunk))
			}
		}
	}
}

func wantPage(t *testing.T, l *nameList, load func() ([]string, error), model []string, after string, n int) {
	t.Helper()
	got, more, err := l.page(after, n, load)
	at, found := slices.BinarySearch(model, after)
	if found {
		at++
	}
	rest := model[at:]
	want := rest[:min(n, len(rest))]
	if !slices.Equal(got, want) || more != (len(want) < len(rest)) || err != nil {
		t.Fatalf("%d after %q: %d names, %v, %v; want %d", n, after, len(got), more, err, len(want))
	}
}

// A list that could not be loaded is loaded the next time.
func TestNameListLoadFails(t *testing.T) {
	l := new(nameList)
	broken := errors.New("broken")
	if _, _, err := l.page("", 1, func() ([]string, error) { return []string{"half"}, broken }); err != broken {
		t.Errorf("page: %v", err)
	}
	names, more, err := l.page("", 1, func() ([]string, error) { return []string{"b", "a"}, nil })
	if !slices.Equal(names, []string{"a"}) || !more || err != nil {
		t.Errorf("page: %v, %v, %v", names, more, err)
	}
}

// A page is the caller's: what is added later does not show in it.
func TestNameListPageIsACopy(t *testing.T) {
	l := new(nameList)
	names, _, _ := l.page("", 10, func() ([]string, error) { return []string{"b", "c"}, nil })
	l.add("a")
	l.remove("c")
	if !slices.Equal(names, []string{"b", "c"}) {
		t.Errorf("page changed to %v", names)
	}
}
