package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/build/maintner"
)

// dumper has the lines so far, and who and which commits are in them.
type dumper struct {
	corpus  *maintner.Corpus
	names   *named
	lines   []string
	users   map[int64]bool
	teams   map[int64]bool
	commits map[maintner.GitHash]bool
}

func newDumper(corpus *maintner.Corpus, names *named) *dumper {
	return &dumper{
		corpus:  corpus,
		names:   names,
		users:   map[int64]bool{},
		teams:   map[int64]bool{},
		commits: map[maintner.GitHash]bool{},
	}
}

func (d *dumper) line(fields ...string) { d.lines = append(d.lines, strings.Join(fields, "\t")) }

// user is a person's id; who it is gets a line of its own.
func (d *dumper) user(u *maintner.GitHubUser) string {
	if u == nil {
		return "-"
	}
	if !d.users[u.ID] {
		d.users[u.ID] = true
		d.line("U", integer(u.ID), str(u.Login))
	}
	return integer(u.ID)
}

func (d *dumper) team(t *maintner.GitHubTeam) string {
	if t == nil {
		return "-"
	}
	if !d.teams[t.ID] {
		d.teams[t.ID] = true
		d.line("T", integer(t.ID), str(t.Slug))
	}
	return integer(t.ID)
}

func integer[T int | int32 | int64 | int8](n T) string { return strconv.FormatInt(int64(n), 10) }

func boolean(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func str(s string) string {
	switch s {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = !escaped(s[i])
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if escaped(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func escaped(c byte) bool { return c < 0x21 || c > 0x7e || c == '%' || c == ',' || c == '=' }

func text(s string) string {
	if s == "" {
		return "0"
	}
	return fmt.Sprintf("%d:%x", len(s), sha256.Sum224([]byte(s)))
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if t.Nanosecond() != 0 {
		return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
	}
	return integer(t.Unix())
}

// created is an instant, but for the epoch, which is what the original has where none was told.
func created(t time.Time) string {
	if t.Unix() == 0 && t.Nanosecond() == 0 {
		return "-"
	}
	return instant(t)
}

func zone(t time.Time) string {
	name, _ := t.Zone()
	return str(name)
}

func person(p *maintner.GitPerson) string {
	if p == nil {
		return "-"
	}
	return str(p.Str)
}

func hash(h maintner.GitHash) string {
	if h == "" {
		return "-"
	}
	return h.String()
}

func list(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ",")
}

func ascending(ids []int64) string {
	slices.Sort(ids)
	var items []string
	for _, id := range ids {
		items = append(items, integer(id))
	}
	return list(items)
}
