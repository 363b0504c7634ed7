//! What is said in a connection for mail. Nothing here reads, writes or waits: bytes come in by [`Session::push`], and
//! [`Session::step`] says what is to be done next. However the bytes are cut, the replies are the same.

use crate::SmtpLimits;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// More bytes are needed.
    More,
    /// A mail is there; [`Session::delivered`] says what became of it.
    Mail(Mail),
    /// TLS is to begin; then comes [`Session::secured`].
    StartTls,
    /// The connection is over.
    Close,
}

/// A mail, as far as it is of use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// The address in `MAIL FROM`.
    pub(crate) from: String,
    /// The header with the empty line at its end, if it has one; or why it is of no use.
    pub(crate) header: Result<Vec<u8>, Unusable>,
}

/// Why a mail is of no use, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the mail is too large")]
    Mail,
    #[error("its header is too large")]
    Header,
}

/// What a session is told.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) host: String,
    pub(crate) rcpt: String,
    pub(crate) limits: SmtpLimits,
    /// Whether TLS can begin.
    pub(crate) tls: bool,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    terms: Terms,
    input: Vec<u8>,
    /// Up to here there is no end of a line in `input`.
    searched: usize,
    commands: u32,
    envelope: Option<Envelope>,
    data: Option<Data>,
    closed: bool,
}

#[derive(Debug)]
struct Envelope {
    from: String,
    rcpt: bool,
}

#[derive(Debug)]
struct Data {
    size: u64,
    /// None once it is too large.
    header: Option<Vec<u8>>,
    /// The header's end was seen.
    ended: bool,
    /// The last line had its proper end. Without one a dot is not alone on its line, whatever other servers think.
    fresh: bool,
}

impl Session {
    pub(crate) fn new(terms: Terms) -> Session {
        Session {
            terms,
            input: Vec::new(),
            searched: 0,
            commands: 0,
            envelope: None,
            data: None,
            closed: false,
        }
    }

    /// What we say first.
    pub(crate) fn greet(&self, out: &mut Vec<u8>) {
        say(out, &format!("220 {} ESMTP Bellwether", self.terms.host));
    }

    /// Takes bytes from the other end. What comes after the last step is of no account.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Goes on as far as possible; replies are written to `out`.
    pub(crate) fn step(&mut self, out: &mut Vec<u8>) -> Step {
        let mut used = 0;
        let step = loop {
            if self.closed {
                break Step::Close;
            }
            let rest = &self.input[used..];
            let within = &rest[..rest.len().min(self.terms.limits.line)];
            let Some(at) = within[self.searched..].iter().position(|b| *b == b'\n') else {
                self.searched = within.len();
                if within.len() < self.terms.limits.line {
                    break Step::More;
                }
                say(out, "500 5.5.2 Error: line too long");
                self.closed = true;
                continue;
            };
            let line = rest[..self.searched + at + 1].to_vec();
            used += line.len();
            self.searched = 0;
            let step = match self.data.take() {
                Some(data) => self.data_line(data, &line),
                None => self.command(&line, out),
            };
            if let Some(step) = step {
                break step;
            }
        };
        self.input.drain(..used);
        step
    }

    /// Says what became of a mail: it was looked at, or it is to come again.
    pub(crate) fn delivered(&mut self, taken: bool, out: &mut Vec<u8>) {
        say(out, if taken { "250 2.0.0 Ok: queued" } else { "451 4.3.0 Error: try again later" });
    }

    /// Begins anew, over TLS. What came before it was said by anybody.
    pub(crate) fn secured(&mut self) {
        *self =
            Session { commands: self.commands, ..Session::new(Terms { tls: false, ..self.terms.clone() }) };
    }

    fn command(&mut self, line: &[u8], out: &mut Vec<u8>) -> Option<Step> {
        self.commands += 1;
        if self.commands > self.terms.limits.commands {
            say(out, "421 4.7.0 Error: too many commands");
            self.closed = true;
            return None;
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            say(out, "500 5.5.2 Error: a command ends with CRLF");
            return None;
        };
        let line = String::from_utf8_lossy(line);
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let argument = argument.trim();
        let verb = verb.to_ascii_uppercase();
        if matches!(&*verb, "RSET" | "DATA" | "QUIT" | "STARTTLS") && !argument.is_empty() {
            say(out, "500 5.5.4 Error: unexpected argument");
            return None;
        }
        match &*verb {
            "HELO" | "EHLO" => self.hello(out),
            "MAIL" => self.mail(argument, out),
            "RCPT" => self.rcpt(argument, out),
            "DATA" => self.begin(out),
            "RSET" => {
                self.envelope = None;
                say(out, "250 2.0.0 OK");
            }
            "NOOP" => say(out, "250 2.0.0 OK"),
            "QUIT" => {
                say(out, "221 2.0.0 Bye");
                self.closed = true;
            }
            "STARTTLS" if self.terms.tls => {
                say(out, "220 2.0.0 Ready to start TLS");
                return Some(Step::StartTls);
            }
            _ => say(out, "502 5.5.2 Error: command not recognized"),
        }
        None
    }

    fn hello(&mut self, out: &mut Vec<u8>) {
        self.envelope = None;
        let size = format!("SIZE {}", self.terms.limits.announced);
        let mut lines = vec![&*self.terms.host, "PIPELINING", &size, "ENHANCEDSTATUSCODES", "8BITMIME"];
        if self.terms.tls {
            lines.push("STARTTLS");
        }
        for line in lines {
            say(out, &format!("250-{line}"));
        }
        say(out, "250 DSN");
    }

    fn mail(&mut self, argument: &str, out: &mut Vec<u8>) {
        let Some((from, parameters)) = address(argument, "FROM:") else {
            return say(out, "501 5.1.7 Bad sender address syntax");
        };
        if self.envelope.is_some() {
            return say(out, "503 5.5.1 Error: nested MAIL command");
        }
        let size = parameters.split(' ').filter_map(|one| one.split_once('=')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case("SIZE").then(|| value.parse::<u64>().ok()).flatten()
        });
        if size.is_some_and(|size| size > self.terms.limits.announced) {
            return say(out, "552 5.3.4 Error: message too large");
        }
        self.envelope = Some(Envelope { from: from.to_owned(), rcpt: false });
        say(out, "250 2.1.0 Ok");
    }

    fn rcpt(&mut self, argument: &str, out: &mut Vec<u8>) {
        let Some(envelope) = &mut self.envelope else {
            return say(out, "503 5.5.1 Error: need MAIL command");
        };
        match address(argument, "TO:").filter(|(to, _)| !to.is_empty()) {
            None => say(out, "501 5.1.7 Bad sender address syntax"),
            Some(_) if envelope.rcpt => say(out, "554 5.5.1 Error: dup recipients"),
            Some((to, _)) if to == self.terms.rcpt => {
                envelope.rcpt = true;
                say(out, "250 2.1.0 Ok");
            }
            Some(_) => say(out, "550 bad recipient"),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        match &self.envelope {
            None => say(out, "503 5.5.1 Error: need RCPT command"),
            Some(Envelope { rcpt: false, .. }) => say(out, "554 5.5.1 Error: no valid recipients"),
            Some(_) => {
                say(out, "354 Go ahead");
                self.data = Some(Data { size: 0, header: Some(Vec::new()), ended: false, fresh: true });
            }
        }
    }

    fn data_line(&mut self, mut data: Data, line: &[u8]) -> Option<Step> {
        if data.fresh && line == b".\r\n" {
            let envelope = self.envelope.take()?;
            let fits = data.size <= self.terms.limits.mail;
            let header = if fits { data.header.ok_or(Unusable::Header) } else { Err(Unusable::Mail) };
            return Some(Step::Mail(Mail { from: envelope.from, header }));
        }
        let line = line.strip_prefix(b".").filter(|_| data.fresh).unwrap_or(line);
        let empty = data.fresh && line == b"\r\n";
        data.fresh = line.ends_with(b"\r\n");
        data.size += line.len() as u64;
        // Of the body only its size matters.
        if !data.ended {
            let most = self.terms.limits.header;
            data.header = data.header.filter(|header| header.len() + line.len() <= most);
            if let Some(header) = &mut data.header {
                header.extend_from_slice(line);
            }
            data.ended = empty;
        }
        self.data = Some(data);
        None
    }
}

fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Reads `FROM:<…>` or `TO:<…>`: the address, and what comes after it.
fn address<'a>(argument: &'a str, before: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = argument.split_at_checked(before.len())?;
    let rest = rest.trim_start().strip_prefix('<').filter(|_| start.eq_ignore_ascii_case(before))?;
    rest.split_once('>')
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
