package main

import (
	"os"

	"golang.org/x/build/maintner"
	"golang.org/x/build/maintner/maintpb"
	"golang.org/x/build/maintner/reclog"
	"google.golang.org/protobuf/proto"
)

// named is what the records of a log have names for, and what the corpus can be asked about by them only: commits by their
// hash, and patch sets by their ref.
type named struct {
	// all hashes, and those of each project.
	all      map[string]bool
	projects map[string]map[string]bool
	// refs by project.
	refs map[string]map[string]bool
}

func readNames(dir string) (*named, error) {
	n := &named{all: map[string]bool{}, projects: map[string]map[string]bool{}, refs: map[string]map[string]bool{}}
	err := maintner.NewDiskMutationLogger(dir).ForeachFile(func(path string, _ os.FileInfo) error {
		return reclog.ForeachFileRecord(path, func(_ int64, _, record []byte) error {
			var m maintpb.Mutation
			if err := proto.Unmarshal(record, &m); err != nil {
				return err
			}
			if m.Git != nil && m.Git.Commit != nil {
				n.all[m.Git.Commit.Sha1] = true
			}
			if m.Gerrit != nil {
				n.gerrit(m.Gerrit)
			}
			return nil
		})
	})
	return n, err
}

func (n *named) gerrit(m *maintpb.GerritMutation) {
	project := m.Project
	if n.projects[project] == nil {
		n.projects[project] = map[string]bool{}
		n.refs[project] = map[string]bool{}
	}
	for _, commit := range m.Commits {
		n.all[commit.Sha1] = true
		n.projects[project][commit.Sha1] = true
	}
	for _, ref := range m.Refs {
		n.refs[project][ref.Ref] = true
	}
}
