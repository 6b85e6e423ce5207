package dir

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"shibafu.dev/step2-cas/bucket"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that an upload cannot be taken up: its state is unreadable, or
// vouches for bytes that are not there, be it that they were published by a
// process that died before it could say so. What is left of it is removed.
var errDamaged = fmt.Errorf("%w: upload is damaged", bucket.ErrNotExist)

// encodeState is the form of the file "state": a checksum of the rest, the size
// of the data, both big-endian, and what the caller wanted kept.
func encodeState(size int64, state []byte) []byte {
	raw := binary.BigEndian.AppendUint64(make([]byte, 4, 12+len(state)), uint64(size))
	raw = append(raw, state...)
	binary.BigEndian.PutUint32(raw, crc32.Checksum(raw[4:], castagnoli))
	return raw
}

func decodeState(raw []byte) (size int64, state []byte, err error) {
	if len(raw) < 12 || binary.BigEndian.Uint32(raw) != crc32.Checksum(raw[4:], castagnoli) {
		return 0, nil, errDamaged
	}
	size = int64(binary.BigEndian.Uint64(raw[4:]))
	if size < 0 {
		return 0, nil, errDamaged
	}
	return size, raw[12:], nil
}
