//! Structured fields (RFC 9651), read as security code must read them. RFC 9651 lets the last of
//! two equal keys win and forgives sloppy base64; here a key that stands twice refuses the field,
//! base64 has one spelling, and sizes are bounded, so that nobody can read one field two ways.
//! Writing gives the one canonical text (RFC 9651 §4.1), which is what signatures cover.

use std::fmt::{self, Write as _};

use crate::base64std;

/// Longest field.
pub const MAX_FIELD_BYTES: usize = 16 * 1024;
/// Most members, items or parameters in one place.
pub const MAX_MEMBERS: usize = 128;

/// The field is not structured as it must be.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructuredDefect {
    /// Longer than [`MAX_FIELD_BYTES`], or more than [`MAX_MEMBERS`] in one place.
    #[error("structured field is too long")]
    TooLong,
    /// It does not parse.
    #[error("structured field is malformed")]
    Syntax,
    /// A key stands twice.
    #[error("structured field names a key twice")]
    Duplicate,
}

impl StructuredDefect {
    /// Every defect.
    pub const ALL: [Self; 3] = [Self::TooLong, Self::Syntax, Self::Duplicate];

    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "structured-too-long",
            Self::Syntax => "structured-syntax",
            Self::Duplicate => "structured-duplicate",
        }
    }
}

/// A value without parameters (RFC 9651 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// An integer of up to 15 digits.
    Integer(i64),
    /// A decimal, in thousandths.
    Decimal(i64),
    /// Printable ASCII.
    String(String),
    /// A token.
    Token(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Yes or no.
    Boolean(bool),
    /// A date, in Unix seconds.
    Date(i64),
}

/// Parameters, in their order; no key twice.
pub type Parameters = Vec<(String, Bare)>;

/// A value with parameters (RFC 9651 §3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub bare: Bare,
    /// Its parameters.
    pub parameters: Parameters,
}

/// Items in parentheses, with parameters of their own (RFC 9651 §3.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerList {
    /// The items.
    pub items: Vec<Item>,
    /// The list's parameters.
    pub parameters: Parameters,
}

/// A member of a list or dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// One item.
    Item(Item),
    /// A list of items.
    Inner(InnerList),
}

/// A dictionary, in its order; no key twice (RFC 9651 §3.2).
pub type Dictionary = Vec<(String, Member)>;

/// Reads a dictionary.
///
/// # Errors
/// [`StructuredDefect`].
pub fn parse_dictionary(text: &str) -> Result<Dictionary, StructuredDefect> {
    let mut reader = Reader::new(text)?;
    let mut members = Vec::new();
    while !reader.at_end() {
        let key = reader.key()?;
        let member = if reader.take(b'=') {
            reader.member()?
        } else {
            Member::Item(Item {
                bare: Bare::Boolean(true),
                parameters: reader.parameters()?,
            })
        };
        insert(&mut members, key, member)?;
        reader.next_member()?;
    }
    Ok(members)
}

/// Reads a list.
///
/// # Errors
/// [`StructuredDefect`].
pub fn parse_list(text: &str) -> Result<Vec<Member>, StructuredDefect> {
    let mut reader = Reader::new(text)?;
    let mut members = Vec::new();
    while !reader.at_end() {
        if members.len() == MAX_MEMBERS {
            return Err(StructuredDefect::TooLong);
        }
        members.push(reader.member()?);
        reader.next_member()?;
    }
    Ok(members)
}

/// Reads one item.
///
/// # Errors
/// [`StructuredDefect`].
pub fn parse_item(text: &str) -> Result<Item, StructuredDefect> {
    let mut reader = Reader::new(text)?;
    let item = reader.item()?;
    if reader.at_end() {
        Ok(item)
    } else {
        Err(StructuredDefect::Syntax)
    }
}

fn insert<T>(
    members: &mut Vec<(String, T)>,
    key: String,
    value: T,
) -> Result<(), StructuredDefect> {
    if members.len() == MAX_MEMBERS {
        return Err(StructuredDefect::TooLong);
    }
    if members.iter().any(|(known, _)| *known == key) {
        return Err(StructuredDefect::Duplicate);
    }
    members.push((key, value));
    Ok(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, StructuredDefect> {
        if text.len() > MAX_FIELD_BYTES {
            return Err(StructuredDefect::TooLong);
        }
        Ok(Self {
            rest: text.trim_matches(' ').as_bytes(),
        })
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Result<u8, StructuredDefect> {
        let (first, rest) = self.rest.split_first().ok_or(StructuredDefect::Syntax)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.iter().position(|b| !accept(*b));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        // Whatever is accepted anywhere is ASCII.
        std::str::from_utf8(taken).unwrap_or_default()
    }

    /// Behind a member: the end, or a comma with another member behind it.
    fn next_member(&mut self) -> Result<(), StructuredDefect> {
        self.take_while(|b| matches!(b, b' ' | b'\t'));
        if self.at_end() {
            return Ok(());
        }
        if self.next()? != b',' {
            return Err(StructuredDefect::Syntax);
        }
        self.take_while(|b| matches!(b, b' ' | b'\t'));
        if self.at_end() {
            return Err(StructuredDefect::Syntax);
        }
        Ok(())
    }

    fn key(&mut self) -> Result<String, StructuredDefect> {
        if !matches!(self.peek(), Some(b'a'..=b'z' | b'*')) {
            return Err(StructuredDefect::Syntax);
        }
        let key =
            self.take_while(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'));
        Ok(key.to_owned())
    }

    fn member(&mut self) -> Result<Member, StructuredDefect> {
        if self.take(b'(') {
            self.inner_list().map(Member::Inner)
        } else {
            self.item().map(Member::Item)
        }
    }

    fn inner_list(&mut self) -> Result<InnerList, StructuredDefect> {
        let mut items = Vec::new();
        loop {
            self.take_while(|b| b == b' ');
            if self.take(b')') {
                return Ok(InnerList {
                    items,
                    parameters: self.parameters()?,
                });
            }
            if items.len() == MAX_MEMBERS {
                return Err(StructuredDefect::TooLong);
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(StructuredDefect::Syntax);
            }
        }
    }

    fn item(&mut self) -> Result<Item, StructuredDefect> {
        Ok(Item {
            bare: self.bare()?,
            parameters: self.parameters()?,
        })
    }

    fn parameters(&mut self) -> Result<Parameters, StructuredDefect> {
        let mut parameters = Vec::new();
        while self.take(b';') {
            self.take_while(|b| b == b' ');
            let key = self.key()?;
            let value = if self.take(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            insert(&mut parameters, key, value)?;
        }
        Ok(parameters)
    }

    fn bare(&mut self) -> Result<Bare, StructuredDefect> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'"') => self.string(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'*') => Ok(Bare::Token(
                self.take_while(|b| is_token(b) || matches!(b, b':' | b'/'))
                    .to_owned(),
            )),
            Some(b':') => self.bytes(),
            Some(b'?') => {
                self.next()?;
                match self.next()? {
                    b'0' => Ok(Bare::Boolean(false)),
                    b'1' => Ok(Bare::Boolean(true)),
                    _ => Err(StructuredDefect::Syntax),
                }
            }
            Some(b'@') => {
                self.next()?;
                match self.number()? {
                    Bare::Integer(secs) => Ok(Bare::Date(secs)),
                    _ => Err(StructuredDefect::Syntax),
                }
            }
            // Display strings (RFC 9651 §3.3.8) stand in no field that is read here.
            _ => Err(StructuredDefect::Syntax),
        }
    }

    fn number(&mut self) -> Result<Bare, StructuredDefect> {
        const WRONG: StructuredDefect = StructuredDefect::Syntax;
        let sign = if self.take(b'-') { -1 } else { 1 };
        let whole = self.take_while(|b| b.is_ascii_digit());
        let longest = if self.peek() == Some(b'.') { 12 } else { 15 };
        if !(1..=longest).contains(&whole.len()) {
            return Err(WRONG);
        }
        let number: i64 = whole.parse().map_err(|_| WRONG)?;
        if !self.take(b'.') {
            return Ok(Bare::Integer(sign * number));
        }
        let fraction = self.take_while(|b| b.is_ascii_digit());
        if !(1..=3).contains(&fraction.len()) {
            return Err(WRONG);
        }
        let thousandths: i64 = format!("{fraction:0<3}").parse().map_err(|_| WRONG)?;
        Ok(Bare::Decimal(sign * (number * 1000 + thousandths)))
    }

    fn string(&mut self) -> Result<Bare, StructuredDefect> {
        self.next()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                b'"' => return Ok(Bare::String(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(char::from(byte)),
                    _ => return Err(StructuredDefect::Syntax),
                },
                byte @ b' '..=b'~' => text.push(char::from(byte)),
                _ => return Err(StructuredDefect::Syntax),
            }
        }
    }

    fn bytes(&mut self) -> Result<Bare, StructuredDefect> {
        self.next()?;
        let text = self.take_while(|b| b.is_ascii() && b != b':');
        if self.next()? != b':' {
            return Err(StructuredDefect::Syntax);
        }
        base64std::decode(text.as_bytes())
            .map(Bare::Bytes)
            .map_err(|_| StructuredDefect::Syntax)
    }
}

/// `tchar` (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl fmt::Display for Bare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Decimal(thousandths) => {
                let sign = if *thousandths < 0 { "-" } else { "" };
                let (whole, part) = (thousandths.abs() / 1000, thousandths.abs() % 1000);
                let part = format!("{part:03}");
                let part = part.trim_end_matches('0');
                let part = if part.is_empty() { "0" } else { part };
                write!(f, "{sign}{whole}.{part}")
            }
            Self::String(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(c)?;
                }
                f.write_char('"')
            }
            Self::Token(text) => f.write_str(text),
            Self::Bytes(bytes) => write!(f, ":{}:", base64std::encode(bytes)),
            Self::Boolean(yes) => f.write_str(if *yes { "?1" } else { "?0" }),
            Self::Date(secs) => write!(f, "@{secs}"),
        }
    }
}

fn write_parameters(f: &mut fmt::Formatter<'_>, parameters: &Parameters) -> fmt::Result {
    for (key, value) in parameters {
        write!(f, ";{key}")?;
        if *value != Bare::Boolean(true) {
            write!(f, "={value}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bare)?;
        write_parameters(f, &self.parameters)
    }
}

impl fmt::Display for InnerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        for (n, item) in self.items.iter().enumerate() {
            if n > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{item}")?;
        }
        f.write_char(')')?;
        write_parameters(f, &self.parameters)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(item) => write!(f, "{item}"),
            Self::Inner(list) => write!(f, "{list}"),
        }
    }
}

/// The canonical text of a dictionary (RFC 9651 §4.1.2).
pub fn dictionary_text(members: &Dictionary) -> String {
    let mut text = String::new();
    for (n, (key, member)) in members.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        text.push_str(key);
        match member {
            Member::Item(item) if item.bare == Bare::Boolean(true) => {
                // `key` alone stands for yes; what follows is the parameters.
                text.push_str(&item.to_string()["?1".len()..]);
            }
            other => {
                text.push('=');
                text.push_str(&other.to_string());
            }
        }
    }
    text
}

/// The canonical text of a list (RFC 9651 §4.1.1).
pub fn list_text(members: &[Member]) -> String {
    let members: Vec<String> = members.iter().map(Member::to_string).collect();
    members.join(", ")
}

/// The one item with this key, without regard to its parameters.
pub fn bytes_of<'a>(members: &'a Dictionary, key: &str) -> Option<&'a [u8]> {
    members.iter().find_map(|(known, member)| match member {
        Member::Item(Item {
            bare: Bare::Bytes(bytes),
            ..
        }) if known == key => Some(bytes.as_slice()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
