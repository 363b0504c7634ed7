//! Who writes: logins and ids of GitHub, and names, addresses and accounts of Gerrit. Few of them do most.

use maintpb::GithubUser;

use super::random::Random;
use super::words;

/// What Gerrit puts behind the number of an account; one for a server.
const SERVER: &str = "62eb7196-b449-3ce5-99f1-c037f21e1705";

pub struct Person {
    pub id: i64,
    pub login: String,
    /// `Name <address>`, as in a commit.
    pub author: String,
    /// `Name <account@server>`, as in a commit of a change's notes.
    pub account: String,
    /// The account's number.
    pub number: i64,
}

impl Person {
    pub fn user(&self) -> GithubUser {
        GithubUser { id: self.id, login: self.login.clone() }
    }
}

pub struct People {
    all: Vec<Person>,
}

impl People {
    /// So many, of whom a quarter writes changes as well.
    pub fn new(random: &mut Random, count: usize) -> Self {
        let mut id = 1000;
        let all = (0..count)
            .map(|n| {
                id += 1 + i64::from(random.below(5000));
                let (first, last) = (capital(&words::name(random)), capital(&words::name(random)));
                let last = if n % 17 == 5 { format!("{last}ø") } else { last };
                let account = 5000 + n * 3;
                let number = i64::try_from(account).unwrap_or(i64::MAX);
                Person {
                    id,
                    login: format!("{}{n}", words::name(random)),
                    author: format!(
                        "{first} {last} <{}@{}.example>",
                        first.to_lowercase(),
                        words::name(random)
                    ),
                    // Gerrit hid names for some years; both forms are in old logs.
                    account: if n % 3 == 0 {
                        format!("Gerrit User {account} <{account}@{SERVER}>")
                    } else {
                        format!("{first} {last} <{account}@{SERVER}>")
                    },
                    number,
                }
            })
            .collect();
        Self { all }
    }

    pub fn get(&self, index: usize) -> &Person {
        &self.all[index]
    }

    /// Who writes something on GitHub.
    pub fn anybody(&self, random: &mut Random) -> usize {
        random.skewed(self.all.len())
    }

    /// Who has an account of Gerrit.
    pub fn author(&self, random: &mut Random) -> usize {
        random.skewed(self.all.len() / 4)
    }

    /// A new login for somebody, and who it is.
    pub fn rename(&mut self, random: &mut Random) -> usize {
        let who = random.index(self.all.len());
        self.all[who].login.push('x');
        who
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
