package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
)

// ErrGap says that the two files do not follow each other, so that one of them has lost
// records that were committed.
var ErrGap = errors.New("the journal is damaged: records are missing between its files")

// headerSize is the size of what comes before the payload of a record: its checksum
// (CRC-32C), its length and its number, big-endian. The checksum is of all the rest.
const headerSize = 4 + 4 + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendRecord(raw []byte, number uint64, payload []byte) []byte {
	start := len(raw)
	raw = append(raw, 0, 0, 0, 0)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(payload)))
	raw = binary.BigEndian.AppendUint64(raw, number)
	raw = append(raw, payload...)
	binary.BigEndian.PutUint32(raw[start:], crc32.Checksum(raw[start+4:], castagnoli))
	return raw
}

// readRecords returns the payloads of the records that raw begins with, and the
// number of the first. What follows the last was cut by a crash, or is of an earlier
// use.
func readRecords(raw []byte) (first uint64, payloads [][]byte) {
	for len(raw) >= headerSize {
		length := int64(binary.BigEndian.Uint32(raw[4:]))
		number := binary.BigEndian.Uint64(raw[8:])
		if number == 0 || length > int64(len(raw)-headerSize) {
			break
		}
		end := headerSize + int(length)
		if crc32.Checksum(raw[4:end], castagnoli) != binary.BigEndian.Uint32(raw) {
			break
		}
		if len(payloads) == 0 {
			first = number
		}
		if number != first+uint64(len(payloads)) {
			break
		}
		payloads = append(payloads, raw[headerSize:end:end])
		raw = raw[end:]
	}
	return first, payloads
}

// Read returns the payloads of a journal that may be in use, in order. Files that are
// not there hold nothing.
func Read(names Names) (payloads [][]byte, err error) {
	payloads, _, err = read(names)
	return payloads, err
}

// read also returns the number that the next record gets.
func read(names Names) (all [][]byte, next uint64, err error) {
	var first [2]uint64
	var payloads [2][][]byte
	for i, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, 0, err
		}
		first[i], payloads[i] = readRecords(raw)
	}
	older, newer := 0, 1
	if len(payloads[0]) == 0 || len(payloads[1]) > 0 && first[1] < first[0] {
		older, newer = 1, 0
	}
	if len(payloads[newer]) > 0 {
		// The older one may end with records for which there was no room and no sync, and
		// whose numbers were used again.
		before := first[newer] - first[older]
		if before > uint64(len(payloads[older])) {
			return nil, 0, ErrGap
		}
		payloads[older] = payloads[older][:before]
	}
	all = append(payloads[older], payloads[newer]...)
	return all, max(first[older], 1) + uint64(len(all)), nil
}
