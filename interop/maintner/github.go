package main

import (
	"golang.org/x/build/maintner"
)

func (d *dumper) github() error {
	github := d.corpus.GitHub()
	if github == nil {
		return nil
	}
	return github.ForeachRepo(func(repo *maintner.GitHubRepo) error {
		name := str(repo.ID().String())
		d.line("R", name)
		repo.ForeachLabel(func(label *maintner.GitHubLabel) error {
			d.line("L", name, integer(label.ID), str(label.Name))
			return nil
		})
		repo.ForeachMilestone(func(m *maintner.GitHubMilestone) error {
			d.line("M", name, integer(m.ID), integer(m.Number), boolean(m.Closed), str(m.Title))
			return nil
		})
		return repo.ForeachIssue(func(issue *maintner.GitHubIssue) error {
			d.issue(name, issue)
			return nil
		})
	})
}

func (d *dumper) issue(repo string, issue *maintner.GitHubIssue) {
	number := integer(issue.Number)
	if issue.NotExist {
		d.line("I", repo, number, "1")
		d.people(issue)
		return
	}
	milestone := "?"
	if issue.Milestone.IsNone() {
		milestone = "none"
	} else if !issue.Milestone.IsUnknown() {
		milestone = integer(issue.Milestone.ID)
	}
	var assignees []string
	for _, user := range issue.Assignees {
		assignees = append(assignees, d.user(user))
	}
	var labels []int64
	for id := range issue.Labels {
		labels = append(labels, id)
	}
	d.line("I", repo, number, "0", integer(issue.ID), created(issue.Created), instant(issue.Updated), instant(issue.ClosedAt),
		boolean(issue.Closed), boolean(issue.Locked), boolean(issue.PullRequest), d.user(issue.User), d.user(issue.ClosedBy),
		milestone, list(assignees), ascending(labels), text(issue.Title), text(issue.Body), "?", "?", "?", "?")
	issue.ForeachComment(func(c *maintner.GitHubComment) error {
		d.line("C", repo, number, integer(c.ID), d.user(c.User), instant(c.Created), instant(c.Updated), text(c.Body))
		return nil
	})
	issue.ForeachEvent(func(e *maintner.GitHubIssueEvent) error {
		d.event(repo, number, e)
		return nil
	})
	issue.ForeachReview(func(v *maintner.GitHubReview) error {
		d.line("V", repo, number, integer(v.ID), d.user(v.Actor), instant(v.Created), str(v.State), str(v.CommitID),
			str(v.ActorAssociation), text(v.Body), text(v.OtherJSON))
		return nil
	})
}

func (d *dumper) event(repo, number string, e *maintner.GitHubIssueEvent) {
	dismissed := "-"
	if r := e.DismissedReview; r != nil {
		dismissed = integer(r.ReviewID) + "," + str(r.State) + "," + text(r.DismissalMessage)
	}
	d.line("E", repo, number, integer(e.ID), str(e.Type), instant(e.Created), d.user(e.Actor), d.user(e.Assignee),
		d.user(e.Assigner), str(e.Label), str(e.Milestone), str(e.From), str(e.To), str(e.CommitID), str(e.CommitURL),
		d.user(e.Reviewer), d.team(e.TeamReviewer), d.user(e.ReviewRequester), dismissed, text(e.OtherJSON))
}

// people are known by an issue that is gone, too: of what it had nothing else is written.
func (d *dumper) people(issue *maintner.GitHubIssue) {
	for _, user := range append(issue.Assignees, issue.User, issue.ClosedBy) {
		d.user(user)
	}
	issue.ForeachComment(func(c *maintner.GitHubComment) error {
		d.user(c.User)
		return nil
	})
	issue.ForeachEvent(func(e *maintner.GitHubIssueEvent) error {
		for _, user := range []*maintner.GitHubUser{e.Actor, e.Assignee, e.Assigner, e.Reviewer, e.ReviewRequester} {
			d.user(user)
		}
		d.team(e.TeamReviewer)
		return nil
	})
	issue.ForeachReview(func(v *maintner.GitHubReview) error {
		d.user(v.Actor)
		return nil
	})
}
