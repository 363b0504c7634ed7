package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/build/maintner"
)

func (d *dumper) gerrit() error {
	for hash := range d.names.all {
		d.commit(d.corpus.GitCommit(hash))
	}
	gerrit := d.corpus.Gerrit()
	if gerrit == nil {
		return nil
	}
	return gerrit.ForeachProjectUnsorted(func(project *maintner.GerritProject) error {
		name := str(project.ServerSlashProject())
		d.project(name, project)
		patchSets := patchSets(d.names.refs[project.ServerSlashProject()])
		project.ForeachNonChangeRef(func(ref string, at maintner.GitHash) error {
			d.line("F", name, str(ref), hash(at))
			return nil
		})
		return project.ForeachCLUnsorted(func(cl *maintner.GerritCL) error {
			d.change(name, cl, patchSets[cl.Number])
			return nil
		})
	})
}

// project writes which commits are a project's own, of those that the log names.
func (d *dumper) project(name string, project *maintner.GerritProject) {
	var own []string
	needed := map[string]bool{}
	for hash := range d.names.projects[project.ServerSlashProject()] {
		commit, err := project.GitCommit(hash)
		if err != nil {
			continue
		}
		own = append(own, hash)
		for _, parent := range commit.Parents {
			if _, err := project.GitCommit(parent.Hash.String()); err != nil {
				needed[parent.Hash.String()] = true
			}
		}
	}
	slices.Sort(own)
	set := "0"
	if len(own) > 0 {
		all := strings.Join(own, "\n") + "\n"
		set = fmt.Sprintf("%d:%x", len(own), sha256.Sum224([]byte(all)))
	}
	d.line("P", name, set, list(slices.Sorted(maps.Keys(needed))))
}

var changeRef = regexp.MustCompile(`^refs/changes/[0-9a-f]{2}/([0-9]+)/([0-9]+)`)

// patchSets are the numbers of each change's patch sets that refs name.
func patchSets(refs map[string]bool) map[int32][]int32 {
	of := map[int32][]int32{}
	for ref := range refs {
		m := changeRef.FindStringSubmatch(ref)
		if m == nil {
			continue
		}
		number, err := strconv.ParseInt(m[1], 10, 32)
		version, err2 := strconv.ParseInt(m[2], 10, 32)
		if err == nil && err2 == nil && version > 0 && !slices.Contains(of[int32(number)], int32(version)) {
			of[int32(number)] = append(of[int32(number)], int32(version))
		}
	}
	return of
}

// change writes all of one change; where the original panics, that is what it says of it.
func (d *dumper) change(project string, cl *maintner.GerritCL, versions []int32) {
	number := integer(cl.Number)
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "change %s of %s: %v\n", number, project, r)
			d.line("G", project, number, "!")
		}
	}()
	d.line("S", project, number, "0", hash(cl.Meta.Commit.Hash))
	// The version of a change is the one that was told last; others may be above it.
	every := *cl
	every.Version = math.MaxInt32
	for _, version := range versions {
		if commit := every.CommitAtVersion(version); commit != nil {
			d.line("S", project, number, integer(version), hash(commit.Hash))
		}
	}
	var references []string
	for _, ref := range cl.GitHubIssueRefs {
		references = append(references, str(ref.String()))
	}
	d.line("G", project, number, "1", integer(cl.Version), hash(cl.Commit.Hash), hash(cl.Meta.Commit.Hash),
		instant(cl.Created), str(cl.Status), boolean(cl.Private), str(cl.Branch()), str(cl.ChangeID()), integer(cl.OwnerID()),
		person(cl.Owner()), boolean(cl.WorkInProgress()), list(references), text(cl.Subject()))
	for i, m := range cl.Messages {
		d.line("N", project, number, integer(i), integer(m.Version), instant(m.Date), person(m.Author), hash(m.Meta.Hash),
			text(m.Message))
	}
	for i, m := range cl.Metas {
		added, removed, _ := m.HashtagEdits()
		d.line("Q", project, number, integer(i), hash(m.Commit.Hash), str(m.ActionTag()), str(string(m.Hashtags())),
			str(string(added)), str(string(removed)), votes(m))
	}
}

func votes(m *maintner.GerritMeta) (all string) {
	defer func() {
		if recover() != nil {
			all = "!"
		}
	}()
	labels, err := m.LabelVotes()
	if err != nil {
		return "!"
	}
	var items []string
	for label, voters := range labels {
		for email, value := range voters {
			items = append(items, str(label)+"="+str(email)+"="+integer(value))
		}
	}
	slices.Sort(items)
	return list(items)
}

// commit writes a commit and all that it comes from.
func (d *dumper) commit(start *maintner.GitCommit) {
	if start == nil {
		return
	}
	todo := []*maintner.GitCommit{start}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if d.commits[c.Hash] {
			continue
		}
		d.commits[c.Hash] = true
		if c.Author == nil && c.Tree == "" {
			// A parent that never came.
			d.line("K", hash(c.Hash), "-")
			continue
		}
		var parents []string
		for _, parent := range c.Parents {
			parents = append(parents, hash(parent.Hash))
			todo = append(todo, parent)
		}
		d.line("K", hash(c.Hash), hash(c.Tree), list(parents), person(c.Author), instant(c.AuthorTime), zone(c.AuthorTime),
			person(c.Committer), instant(c.CommitTime), zone(c.CommitTime), person(c.Reviewer), text(c.Msg), files(c))
	}
}

func files(c *maintner.GitCommit) string {
	if len(c.Files) == 0 {
		return "0"
	}
	var rows []string
	for _, f := range c.Files {
		rows = append(rows, fmt.Sprintf("%s\x00%d\t%d\t%s\n", f.File, f.Added, f.Deleted, boolean(f.Binary)))
	}
	slices.Sort(rows)
	var all bytes.Buffer
	for _, row := range rows {
		all.WriteString(row)
	}
	return fmt.Sprintf("%d:%x", len(rows), sha256.Sum224(all.Bytes()))
}
