// The original's corpus of a mutation log: what it holds, line by line, and what it takes to load.
//
//	maintner dump DIR
//	maintner time DIR
//
// DIR has the day files of a log. `dump` writes the canonical dump (spec maintner, 3.6) as far as the package's public names
// show it, its lines sorted by their bytes; what they do not show is `?`, and is named on standard error first. `time` writes
// one object of JSON.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"

	"golang.org/x/build/maintner"
)

func main() {
	if len(os.Args) != 3 || (os.Args[1] != "dump" && os.Args[1] != "time") {
		fmt.Fprintln(os.Stderr, "usage: maintner dump|time DIR")
		os.Exit(2)
	}
	run := dump
	if os.Args[1] == "time" {
		run = measure
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func load(dir string) (*maintner.Corpus, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, err
	}
	corpus := new(maintner.Corpus)
	err := corpus.Initialize(context.Background(), maintner.NewDiskMutationLogger(dir))
	return corpus, err
}

// hidden says what the public names do not show, letter by letter.
const hidden = `not shown: I comments-synced, events-synced, reviews-synced, event-max (?)
not shown: H (none)
not shown: U and T of whom no issue that is there names any more
not shown: G of changes without a patch set or without notes, and their S
not asked: P needed hashes are the parents of its commits that are not its own
`

func dump(dir string) error {
	fmt.Fprint(os.Stderr, hidden)
	corpus, err := load(dir)
	if err != nil {
		return err
	}
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	d := newDumper(corpus, names)
	if err := d.github(); err != nil {
		return err
	}
	if err := d.gerrit(); err != nil {
		return err
	}
	slices.Sort(d.lines)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for _, line := range d.lines {
		out.WriteString(line)
		out.WriteByte('\n')
	}
	return out.Flush()
}
