// Command reclog reads runs of bytes with the original's reader of records and says of each how many records it took, and
// whether it took all.
//
//	reclog < INPUTS
//
// An input is its length, four bytes little-endian, and its bytes. The answer is a line `RECORDS ok` or `RECORDS error` each.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/build/maintner/reclog"
)

func main() {
	if err := run(bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriterSize(os.Stdout, 1<<20)); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out *bufio.Writer) error {
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err == io.EOF {
			return out.Flush()
		} else if err != nil {
			return err
		}
		input := make([]byte, binary.LittleEndian.Uint32(length[:]))
		if _, err := io.ReadFull(in, input); err != nil {
			return err
		}
		records := 0
		err := reclog.ForeachRecord(bytes.NewReader(input), 0, func(int64, []byte, []byte) error {
			records++
			return nil
		})
		end := "ok"
		if err != nil {
			end = "error"
		}
		fmt.Fprintln(out, records, end)
	}
}
