package account

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment
daemon:*:1:1::/:/usr/sbin/nologin

app:x:1000:1001:An App,,,:/home/app:/bin/sh
app:x:0:0:again:/root:/bin/sh
short:x:1002:1003
nohome:x:1004:1004:::
relative:x:1005:1005::home:/bin/sh
bad-uid:x:4294967296:5::/:
bad-uid2:x:-1:5::/:
bad-uid3:x::5::/:
bad-uid4:x:0x0:0::/:
bad-gid:x:5:4294967295::/:
octal:x:010:010::/:
twin:x:1000:0::/twin:/bin/sh
no-number:x:1e3
many:x:7:7:a:b:c:d
smb$:x:1006:1006::/:/bin/sh
+::::::
4294967295:x:0:0::/root:/bin/sh
4294967296:x:0:0::/root:/bin/sh
-1:x:0:0::/root:/bin/sh
0x0:x:0:0::/root:/bin/sh
1e3:x:0:0::/root:/bin/sh
 0:x:0:0::/root:/bin/sh
99999999999:x:0:0::/root:/bin/sh
last:x:1007:1007::/last:/bin/sh`

const group = `root:x:0:root
staff:x:50:app,root
app:x:1001:
app:x:0:
more:x:51:root,app,app
again:x:50:app
docker:x:999:apple,ap,napp, app
colon:x:52:a:app
bad:x:4294967296:nobody
1:x:0:app
3fields:x:53
three:x:54
last:x:55:app,last`

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Account
	}{
		{"nothing is root", "", Account{0, 0, []uint32{0, 50, 51}, "/root"}},
		{"root by name", "root", Account{0, 0, []uint32{0, 50, 51}, "/root"}},
		{"root by number", "0", Account{0, 0, []uint32{0, 50, 51}, "/root"}},
		{"a name; the first line counts", "app", Account{1000, 1001, []uint32{1001, 50, 51, 55}, "/home/app"}},
		{"its number takes the line too", "1000", Account{1000, 1001, []uint32{1001, 50, 51, 55}, "/home/app"}},
		{"a group drops the others", "app:staff", Account{1000, 50, []uint32{50}, "/home/app"}},
		{"a group's first line counts", "app:app", Account{1000, 1001, []uint32{1001}, "/home/app"}},
		{"a group by a number that has no line", "app:7", Account{1000, 7, []uint32{7}, "/home/app"}},
		{"a number that has no line", "4321", Account{4321, 0, []uint32{0}, "/"}},
		{"numbers that have none", "4321:1234", Account{4321, 1234, []uint32{1234}, "/"}},
		{"a number with a group's name", "4321:staff", Account{4321, 50, []uint32{50}, "/"}},
		{"the highest", "4294967294:4294967294", Account{4294967294, 4294967294, []uint32{4294967294}, "/"}},
		{"a group that has three fields", "0:three", Account{0, 54, []uint32{54}, "/root"}},
		{"a line that ends early", "short", Account{1002, 1003, []uint32{1003}, "/"}},
		{"no home", "nohome", Account{1004, 1004, []uint32{1004}, "/"}},
		{"a home that is no path", "relative", Account{1005, 1005, []uint32{1005}, "/"}},
		{"a machine of Samba", "smb$", Account{1006, 1006, []uint32{1006}, "/"}},
		{"a file's last line without its end", "last", Account{1007, 1007, []uint32{1007, 55}, "/last"}},
		{"a number in a line that is malformed", "7", Account{7, 0, []uint32{0}, "/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve(tt.text, strings.NewReader(passwd), strings.NewReader(group))
			if err != nil {
				t.Fatal(err)
			}
			if got.UID != tt.want.UID || got.GID != tt.want.GID || got.Home != tt.want.Home || !slices.Equal(got.Groups, tt.want.Groups) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// There is a line of user 0 for whatever could be taken for a name.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"one too high, to the kernel no change", "4294967295", ErrSpec},
		{"would wrap to 0", "4294967296", ErrSpec},
		{"wraps to 0 in 64 bits", "18446744073709551616", ErrSpec},
		{"far too high", "99999999999", ErrSpec},
		{"negative", "-1", ErrSpec},
		{"negative nothing", "-0", ErrSpec},
		{"a sign", "+0", ErrSpec},
		{"hexadecimal", "0x0", ErrSpec},
		{"an exponent", "1e3", ErrSpec},
		{"a space before", " 0", ErrSpec},
		{"a space behind", "0 ", ErrSpec},
		{"zeros before", "00", ErrSpec},
		{"octal", "010", ErrSpec},
		{"an underscore", "1_000", ErrSpec},
		{"a digit of another script", "\u0660", ErrSpec},
		{"a name that begins with a digit", "0app", ErrSpec},
		{"NUL", "app\x00", ErrSpec},
		{"a line break", "app\n", ErrSpec},
		{"a slash", "../app", ErrSpec},
		{"a comment", "#", ErrSpec},
		{"a name of 256 bytes", strings.Repeat("a", 256), ErrSpec},
		{"no user", ":app", ErrSpec},
		{"no group", "app:", ErrSpec},
		{"neither", ":", ErrSpec},
		{"three", "app:app:app", ErrSpec},
		{"a group that would wrap", "0:4294967296", ErrSpec},
		{"a group one too high", "0:4294967295", ErrSpec},
		{"a group below zero", "app:-1", ErrSpec},
		{"a group in hexadecimal", "app:0x0", ErrSpec},
		{"a group that is named by digits", "app:3fields", ErrSpec},
		{"a name that is not there", "nobody", ErrUnknown},
		{"the same in capitals", "ROOT", ErrUnknown},
		{"a group that is not there", "app:nogroup", ErrUnknown},
		{"a group that is there as a user", "0:short", ErrUnknown},
		{"a line that is too short", "no-number", ErrUnknown},
		{"a line that is too long", "many", ErrUnknown},
		{"a line whose user would wrap", "bad-uid", ErrFile},
		{"a line whose user is negative", "bad-uid2", ErrFile},
		{"a line without a number", "bad-uid3", ErrFile},
		{"a line in hexadecimal", "bad-uid4", ErrFile},
		{"a line whose group is one too high", "bad-gid", ErrFile},
		{"its number", "5", ErrFile},
		{"a line in octal", "octal", ErrFile},
		{"a group whose line would wrap", "0:bad", ErrFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve(tt.text, strings.NewReader(passwd), strings.NewReader(group))
			if !errors.Is(err, tt.want) || got.Groups != nil || got.Home != "" {
				t.Errorf("%+v, %v, want %v", got, err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestFiles(t *testing.T) {
	long := strings.Repeat("x", maxField+1)
	for _, tt := range []struct {
		name, text, passwd, group string
		want                      Account
		err                       error
	}{
		{"empty", "5", "", "", Account{5, 0, []uint32{0}, "/"}, nil},
		{"a name in an empty one", "app", "", "", Account{}, ErrUnknown},
		{"a line with NUL is passed over", "a", "a:x:0:0:\x00:/:\na:x:1:1::/:\n", "", Account{1, 1, []uint32{1}, "/"}, nil},
		{"so is one with a long field", "a", "a:x:0:0:" + long + ":/:\na:x:1:1::/:\n", "", Account{1, 1, []uint32{1}, "/"}, nil},
		{"a home as long as it may be", "a", "a:x:1:1::/" + long[:maxField-1] + ":\n", "", Account{1, 1, []uint32{1}, "/" + long[:maxField-1]}, nil},
		{"the name must be the whole", "a", "aa:x:0:0::/:\n\ta:x:0:0::/:\na :x:0:0::/:\n", "", Account{}, ErrUnknown},
		{"a carriage return is part of a field", "a", "a:x:1:1\r\n", "", Account{}, ErrFile},
		{"a list of members of any length", "a", "a:x:1:1::/:\n", "g:x:2:" + strings.Repeat(long+",", 9) + "a\n", Account{1, 1, []uint32{1, 2}, "/"}, nil},
		{"a long member is not the user", "x", "x:x:1:1::/:\n", "g:x:2:" + long + "\n", Account{1, 1, []uint32{1}, "/"}, nil},
		{"NUL in a list", "a", "a:x:1:1::/:\n", "g:x:2:\x00,a\nh:x:3:a\n", Account{1, 1, []uint32{1, 3}, "/"}, nil},
		{"a member of what has no number", "a", "a:x:1:1::/:\n", "g:x:4294967295:a\n", Account{}, ErrFile},
		{"who else is a member does not matter", "a", "a:x:1:1::/:\n", "g:x:4294967295:b\n", Account{1, 1, []uint32{1}, "/"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Resolve(tt.text, strings.NewReader(tt.passwd), strings.NewReader(tt.group))
			if !errors.Is(err, tt.err) || got.UID != tt.want.UID || got.GID != tt.want.GID || got.Home != tt.want.Home || !slices.Equal(got.Groups, tt.want.Groups) {
				t.Errorf("%+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestNoFiles(t *testing.T) {
	if got, err := Resolve("", nil, nil); err != nil || got.UID != 0 || got.GID != 0 || got.Home != "/" || !slices.Equal(got.Groups, []uint32{0}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Resolve("app", nil, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("a name: %v", err)
	}
	if _, err := Resolve("0:app", nil, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("a group: %v", err)
	}
	if got, err := Resolve("app", strings.NewReader(passwd), nil); err != nil || !slices.Equal(got.Groups, []uint32{1001}) {
		t.Errorf("without groups: %+v, %v", got, err)
	}
}

func TestReadersThatFail(t *testing.T) {
	bad := errors.New("disk")
	if _, err := Resolve("0", iotest.ErrReader(bad), nil); !errors.Is(err, bad) {
		t.Errorf("passwd: %v", err)
	}
	if _, err := Resolve("root", strings.NewReader(passwd), iotest.ErrReader(bad)); !errors.Is(err, bad) {
		t.Errorf("group: %v", err)
	}
	if _, err := Resolve("0", io.MultiReader(strings.NewReader("root:x:0:"), iotest.ErrReader(bad)), nil); !errors.Is(err, bad) {
		t.Errorf("in a line: %v", err)
	}
}

// endless repeats a text for ever, and counts what was read of it.
type endless struct {
	text string
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[(e.read+i)%len(e.text)]
	}
	e.read += len(b)
	return len(b), nil
}

// Whatever the files are, little is read of them, and less remembered.
func TestLargeFiles(t *testing.T) {
	joe := func() io.Reader { return strings.NewReader("joe:x:5:5::/:\n") }
	names := "g:x:9:" + strings.Repeat("a,", 1_000_000) + "joe\n"
	for _, tt := range []struct {
		name, text string
		passwd     io.Reader
		group      io.Reader
		want       error
	}{
		{"zeros for ever", "joe", &endless{text: "\x00"}, nil, ErrFile},
		{"one line for ever", "joe", &endless{text: "x"}, nil, ErrFile},
		{"colons for ever", "joe", &endless{text: ":"}, nil, ErrFile},
		{"lines for ever", "4", &endless{text: "\n"}, nil, ErrFile},
		{"users for ever", "4", &endless{text: "a:x:3:3::/:\n"}, nil, ErrFile},
		{"the user comes early", "joe:5", io.MultiReader(joe(), &endless{text: "a:x:3:3::/:\n"}), nil, nil},
		{"groups for ever", "joe", joe(), &endless{text: "g:x:9:joe\n"}, ErrFile},
		{"the group comes early", "joe:g", joe(), &endless{text: "g:x:9:joe\n"}, nil},
		{"the group never comes", "joe:h", joe(), &endless{text: "g:x:9:joe\n"}, ErrFile},
		{"members for ever", "joe", joe(), io.MultiReader(strings.NewReader("g:x:9:"), &endless{text: "joe,"}), ErrFile},
		{"a million members", "joe", joe(), strings.NewReader(names), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Resolve(tt.text, tt.passwd, tt.group)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 128<<10 {
				t.Errorf("%d bytes were allocated", used)
			}
			for _, r := range []io.Reader{tt.passwd, tt.group} {
				if e, ok := r.(*endless); ok && e.read > MaxFile+4096 {
					t.Errorf("%d bytes were read", e.read)
				}
			}
		})
	}
}

func TestFileOfTheGreatestSize(t *testing.T) {
	line := "joe:x:5:5::/:\n"
	whole := strings.Repeat("#", MaxFile-len(line)-1) + "\n" + line
	if got, err := Resolve("joe", strings.NewReader(whole), nil); err != nil || got.UID != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Resolve("joe", strings.NewReader("#"+whole), nil); !errors.Is(err, ErrFile) {
		t.Errorf("a byte more: %v", err)
	}
}

// A process has no more groups than the kernel takes.
func TestManyGroups(t *testing.T) {
	var b strings.Builder
	for n := range maxGroups {
		b.WriteString("g:x:" + id{number: uint32(n)}.String() + ":joe\n")
	}
	const joe = "joe:x:5:5::/:\n"
	if got, err := Resolve("joe", strings.NewReader(joe), strings.NewReader(b.String())); err != nil || len(got.Groups) != maxGroups {
		t.Errorf("%d, %v", len(got.Groups), err)
	}
	b.WriteString("g:x:99999999:joe\n")
	if _, err := Resolve("joe", strings.NewReader(joe), strings.NewReader(b.String())); !errors.Is(err, ErrFile) {
		t.Errorf("one more: %v", err)
	}
}
