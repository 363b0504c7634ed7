//! People, teams, labels and milestones: a record names them wherever it needs them.

use crate::flag::Flag;
use crate::github::{Github, Label, Milestone, Number, Team, User};
use crate::mutation;
use crate::names::Name;

impl Github {
    /// The person of an id, nameless if new; none of id 0.
    pub(super) fn make_user(&mut self, id: i64) {
        if id != 0 && self.user(id).is_none() {
            self.add_user(id, Name::EMPTY);
        }
    }

    fn add_user(&mut self, id: i64, login: Name) -> Number {
        let number = self.users.push(User { id, login, pad: [0; 4] });
        self.users_by_id.insert(self.seed.id(id), number);
        number
    }

    /// The person whom a record names, by the login that it gives, if it gives one.
    pub(super) fn apply_user(&mut self, user: &mutation::User<'_>) -> Number {
        let Some(number) = self.user(user.id) else {
            let login = self.names.add(user.login);
            return self.add_user(user.id, login);
        };
        if !user.login.is_empty() && self.names.text(self.users.get(number).login) != user.login {
            self.users.get_mut(number).login = self.names.add(user.login);
        }
        number
    }

    /// Takes a team's name.
    pub(super) fn apply_team(&mut self, team: &mutation::Team<'_>) {
        let slug = self.names.add(team.slug);
        let found =
            self.teams_by_id.find(self.seed.id(team.id), |number| self.teams.get(number).id == team.id);
        if let Some(number) = found {
            if slug != Name::EMPTY && self.teams.get(number).slug != slug {
                self.teams.get_mut(number).slug = slug;
            }
        } else {
            let number = self.teams.push(Team { id: team.id, slug, pad: [0; 4] });
            self.teams_by_id.insert(self.seed.id(team.id), number);
        }
    }

    /// Takes a label's name; whether it could be taken.
    pub(super) fn apply_label(&mut self, repo: Number, label: &mutation::Label<'_>) -> bool {
        if label.id == 0 {
            self.rejected += 1;
            return false;
        }
        let hash = self.seed.within(repo, label.id);
        let found = self.labels_by_id.find(hash, |number| {
            let known = self.labels.get(number);
            known.repo == repo && known.id == label.id
        });
        let name = self.names.add(label.name);
        if let Some(number) = found {
            if name != Name::EMPTY && self.labels.get(number).name != name {
                self.labels.get_mut(number).name = name;
            }
        } else {
            let number = self.labels.push(Label { repo, id: label.id, name });
            self.labels_by_id.insert(hash, number);
        }
        true
    }

    /// The milestone that a record names, with what it says of it.
    pub(super) fn apply_milestone(&mut self, repo: Number, change: &mutation::Milestone<'_>) -> Number {
        let hash = self.seed.within(repo, change.id);
        let found = self.milestones_by_id.find(hash, |number| {
            let known = self.milestones.get(number);
            known.repo == repo && known.id == change.id
        });
        let number = found.unwrap_or_else(|| {
            let new = Milestone {
                repo,
                id: change.id,
                title: Name::EMPTY,
                number: 0,
                closed: Flag::NO,
                pad: [0; 3],
            };
            let number = self.milestones.push(new);
            self.milestones_by_id.insert(hash, number);
            number
        });
        let title = self.names.add(change.title);
        let milestone = self.milestones.get_mut(number);
        if title != Name::EMPTY {
            milestone.title = title;
        }
        if change.number != 0 {
            milestone.number = crate::wire::int32(change.number.cast_unsigned());
        }
        if let Some(closed) = &change.closed {
            milestone.closed = closed.val.into();
        }
        number
    }
}
