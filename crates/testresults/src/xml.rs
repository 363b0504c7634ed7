//! XML in pieces, as much of it as JUnit files have: elements, attributes, texts. No entity is defined by a document, so none
//! can grow; what is longer than it may be is passed over.

/// The longest tag, in bytes.
const TAG: usize = 256 << 10;
/// The longest name of an entity.
const ENTITY: usize = 10;

/// What was found.
pub(crate) trait Found {
    /// An element begins. `closed` if it ends at once.
    fn start(&mut self, name: &str, attributes: &[(String, String)], closed: bool);
    /// An element ends.
    fn end(&mut self, name: &str);
    /// A piece of text.
    fn text(&mut self, bytes: &[u8]);
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `&`.
    Entity,
    /// After `<`; within these quotes.
    Tag(Option<u8>),
    /// Until `-->`.
    Comment,
    /// Until `]]>`.
    Cdata,
    /// Until `?>`.
    Instruction,
    /// Until `>`, at this depth of brackets.
    Declaration(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Xml {
    state: State,
    tag: Vec<u8>,
    /// The last bytes, where a few of them end something.
    last: [u8; 2],
    /// Whether it is no UTF-8.
    pub strange: bool,
    begun: bool,
}

impl Xml {
    pub fn feed(&mut self, bytes: &[u8], found: &mut impl Found) {
        let mut plain = 0;
        for (at, byte) in bytes.iter().copied().enumerate() {
            if !self.begun {
                self.begun = true;
                self.strange = matches!(byte, 0xfe | 0xff | 0);
            }
            match self.state {
                State::Text => {
                    if matches!(byte, b'<' | b'&') {
                        if plain < at {
                            found.text(&bytes[plain..at]);
                        }
                        self.tag.clear();
                        self.state = if byte == b'<' { State::Tag(None) } else { State::Entity };
                    }
                }
                State::Cdata => {
                    let over = self.last == *b"]]" && byte == b'>';
                    match (over, self.last) {
                        (true, _) => {
                            self.state = State::Text;
                            plain = at + 1;
                        }
                        // What may be part of the end is held back until it is not.
                        (false, [first, _]) if first != 0 => found.text(&[first]),
                        _ => {}
                    }
                    self.last = [self.last[1], byte];
                }
                State::Entity => {
                    if byte == b';' {
                        entity(&self.tag, found);
                        self.state = State::Text;
                        plain = at + 1;
                    } else if self.tag.len() >= ENTITY || !(byte.is_ascii_alphanumeric() || byte == b'#') {
                        // A bare `&`.
                        found.text(b"&");
                        found.text(&self.tag);
                        self.state = State::Text;
                        plain = at;
                        if byte == b'<' || byte == b'&' {
                            self.tag.clear();
                            self.state = if byte == b'<' { State::Tag(None) } else { State::Entity };
                        }
                    } else {
                        self.tag.push(byte);
                    }
                }
                State::Tag(quote) => {
                    self.tag_byte(byte, quote, found);
                    plain = at + 1;
                }
                State::Comment | State::Instruction => {
                    let over = match self.state {
                        State::Comment => self.last == *b"--" && byte == b'>',
                        _ => self.last[1] == b'?' && byte == b'>',
                    };
                    self.last = [self.last[1], byte];
                    if over {
                        self.state = State::Text;
                        plain = at + 1;
                    }
                }
                State::Declaration(depth) => {
                    self.state = match byte {
                        b'[' | b'<' => State::Declaration(depth.saturating_add(1)),
                        b']' => State::Declaration(depth.saturating_sub(1)),
                        b'>' if depth == 0 => State::Text,
                        b'>' => State::Declaration(depth - 1),
                        _ => self.state,
                    };
                    plain = at + 1;
                }
            }
        }
        if self.state == State::Text && plain < bytes.len() {
            found.text(&bytes[plain..]);
        }
    }

    fn tag_byte(&mut self, byte: u8, quote: Option<u8>, found: &mut impl Found) {
        self.state = match (quote, byte) {
            (None, b'>') => {
                tag(&self.tag, found);
                State::Text
            }
            (None, b'"' | b'\'') if !self.tag.is_empty() => State::Tag(Some(byte)),
            (Some(open), byte) if open == byte => State::Tag(None),
            (quote, _) => State::Tag(quote),
        };
        if self.state == State::Text {
            self.tag.clear();
            self.tag.shrink_to(4096);
            return;
        }
        if self.tag.len() < TAG {
            self.tag.push(byte);
        }
        self.last = [0, 0];
        match &self.tag[..] {
            b"?" => self.state = State::Instruction,
            b"!--" => self.state = State::Comment,
            b"![CDATA[" => self.state = State::Cdata,
            [b'!', first, ..] if !matches!(first, b'-' | b'[') => self.state = State::Declaration(0),
            _ => {}
        }
    }
}

fn entity(name: &[u8], found: &mut impl Found) {
    match resolved(name) {
        Some(c) => found.text(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            found.text(b"&");
            found.text(name);
            found.text(b";");
        }
    }
}

fn resolved(name: &[u8]) -> Option<char> {
    let name = std::str::from_utf8(name).ok()?;
    match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => {}
    }
    let number = name.strip_prefix('#')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
}

fn tag(bytes: &[u8], found: &mut impl Found) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(name) = text.strip_prefix('/') {
        return found.end(local(name.trim()));
    }
    let (text, closed) = match text.strip_suffix('/') {
        Some(text) => (text, true),
        None => (&*text, false),
    };
    let (name, mut rest) = match text.split_once(|c: char| c.is_whitespace()) {
        Some((name, rest)) => (name, rest.trim_start()),
        None => (text, ""),
    };
    if name.is_empty() {
        return;
    }
    let mut attributes = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, after)) = after[1..].split_once(quote) else { break };
        if attributes.len() < 64 {
            attributes.push((local(key.trim()).to_owned(), decoded(value)));
        }
        rest = after.trim_start();
    }
    found.start(local(name), &attributes, closed);
}

/// The name without the prefix of its namespace.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn decoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(ENTITY + 1).position(|byte| byte == b';');
        match end.and_then(|end| Some((resolved(&rest.as_bytes()[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    out
}
