package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"syscall"
	"unsafe"
)

// ErrDamaged says that the file is none that this package has written: records that
// were committed may be missing.
var ErrDamaged = errors.New("the journal is damaged")

// The file begins with a sector of its own, which a disk writes whole or not at all:
// magic, a random number, and at its end the checksum (CRC-32C) of it. With another number
// there, all records of before are void: each one's checksum begins with that of the
// one before it, and the first one's with the header's.
//
// A record has a checksum, its length and its number, big-endian, and the payload. Its
// number is higher than that of the one before. What does not fit ends the records: it
// was cut by a crash, or is of an earlier use.
const (
	magic      = "shibafu journal\n"
	recordsAt  = 512
	sumAt      = recordsAt - 4
	headerSize = 4 + 4 + 8 // of a record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newHeader returns a header, and the checksum that the first record's begins with.
func newHeader() (header []byte, chain uint32) {
	header = make([]byte, recordsAt)
	n := copy(header, magic)
	rand.Read(header[n : n+16])
	chain = crc32.Checksum(header[:sumAt], castagnoli)
	binary.BigEndian.PutUint32(header[sumAt:], chain)
	return header, chain
}

func appendRecord(raw []byte, chain uint32, number uint64, payload []byte) ([]byte, uint32) {
	start := len(raw)
	raw = append(raw, 0, 0, 0, 0)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(payload)))
	raw = binary.BigEndian.AppendUint64(raw, number)
	raw = append(raw, payload...)
	chain = crc32.Update(chain, castagnoli, raw[start+4:])
	binary.BigEndian.PutUint32(raw[start:], chain)
	return raw, chain
}

// records are what stands in a file.
type records struct {
	payloads [][]byte
	last     uint64 // number
	end      int64
	chain    uint32 // the last checksum
}

// parse reads a file. One that is empty, or whose header never reached the disk, holds
// no records, as they would have been synced together with it.
func parse(raw []byte) (records, error) {
	r := records{end: recordsAt}
	if len(raw) < recordsAt {
		return r, nil
	}
	header, rest := raw[:recordsAt], raw[recordsAt:]
	if bytes.Equal(header, make([]byte, recordsAt)) {
		return r, nil
	}
	r.chain = crc32.Checksum(header[:sumAt], castagnoli)
	if !bytes.HasPrefix(header, []byte(magic)) || binary.BigEndian.Uint32(header[sumAt:]) != r.chain {
		return r, ErrDamaged
	}
	for len(rest) >= headerSize {
		length := int64(binary.BigEndian.Uint32(rest[4:]))
		number := binary.BigEndian.Uint64(rest[8:])
		if number <= r.last || length > int64(len(rest)-headerSize) {
			break
		}
		size := headerSize + length
		chain := crc32.Update(r.chain, castagnoli, rest[4:size])
		if chain != binary.BigEndian.Uint32(rest) {
			break
		}
		r.payloads = append(r.payloads, rest[headerSize:size:size])
		r.last, r.chain, r.end = number, chain, r.end+size
		rest = rest[size:]
	}
	return r, nil
}

// withoutCopies asks a file system that would write changed bytes elsewhere, as btrfs
// does, to overwrite those of this new file: that is cheaper, and needs no room. It is
// a hint; the journal has checksums of its own.
func withoutCopies(f *os.File) {
	const getFlags, setFlags, noCopyOnWrite = 0x80086601, 0x40086602, 0x00800000
	var flags uint32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags))); errno == 0 {
		flags |= noCopyOnWrite
		syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), setFlags, uintptr(unsafe.Pointer(&flags)))
	}
}
