//! **A YAML file with its places**: the parsed tree keeps file, line and column of every node, so
//! that any later mistake, however it was found, can be shown where it was written.
//!
//! The tree is small on purpose: YAML 1.2 core scalars, maps without doubled keys, lists. Aliases
//! and tags are refused: a settings file says what it means where it means it. `${NAME}` is
//! replaced by the environment's value in any scalar, `$$` stands for one `$`.

use std::borrow::Cow;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::flaw::{Flaw, Place};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;
/// Most nodes that are read from one file.
const MAX_NODES: usize = 200_000;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text {
        /// The text after substitution.
        text: String,
        /// Whether `${…}` stood in it: such a value is never shown.
        substituted: bool,
        /// The variable, where one `${…}` is all of it.
        variable: Option<Box<str>>,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in the order written.
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Where it begins.
    pub(crate) place: Place,
    /// Its text.
    pub(crate) text: String,
}

/// The environment, as an argument: `${NAME}` → value.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Node {
    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key, if it is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, node)| node)
    }

    /// The items, if it is a list.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The variable, if the text is one `${NAME}` and nothing else.
    pub(crate) fn variable(&self) -> Option<&str> {
        match &self.value {
            Value::Text { variable, .. } => variable.as_deref(),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The same as JSON, for the schema and for serde.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::from(*value),
            Value::Float(value) => Json::from(*value),
            Value::Text { text, .. } => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }

    /// The same tree with every value taken out: what is left says where things stand, and no secret.
    pub(crate) fn without_values(&self) -> Self {
        let value = match &self.value {
            Value::List(items) => Value::List(items.iter().map(Self::without_values).collect()),
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, node)| (key.clone(), node.without_values()))
                    .collect(),
            ),
            _ => Value::Null,
        };
        Self {
            place: self.place,
            value,
        }
    }

    /// The node at a path of keys and indices, or the deepest one on the way that exists.
    pub(crate) fn nearest<'a>(&self, path: impl IntoIterator<Item = Step<'a>>) -> &Node {
        let mut at = self;
        for step in path {
            let next = match step {
                Step::Key(key) => at.get(key),
                Step::Index(index) => at.items().get(index),
            };
            match next {
                Some(node) => at = node,
                None => break,
            }
        }
        at
    }
}

/// One step of a path into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Into a map.
    Key(&'a str),
    /// Into a list.
    Index(usize),
}

/// Reads all YAML documents of one file.
///
/// # Errors
/// Every mistake found; the first syntax error ends the reading of the file.
pub(crate) fn read(file: u16, text: &str, env: Environment<'_>) -> Result<Vec<Node>, Vec<Flaw>> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        file,
        env,
        nodes: 0,
        flaws: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        match reader.next() {
            Ok((Event::StreamEnd, _)) => break,
            Ok((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _)) => {}
            Ok((event, span)) => match reader.node(event, span, 0) {
                Ok(node) => documents.push(node),
                Err(Stop) => break,
            },
            Err(Stop) => break,
        }
    }
    if reader.flaws.is_empty() {
        Ok(documents)
    } else {
        Err(reader.flaws)
    }
}

/// Reading can't go on; the flaw is noted.
struct Stop;

struct Reader<'a, I: granit_parser::BorrowedInput<'a>> {
    parser: Parser<'a, I>,
    file: u16,
    env: Environment<'a>,
    nodes: usize,
    flaws: Vec<Flaw>,
}

impl<'a, I: granit_parser::BorrowedInput<'a>> Reader<'a, I> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((Event::Comment(..), _))) => self.next(),
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place::new(self.file, mark.line(), mark.col() + 1);
                self.flaws.push(Flaw::at(
                    place,
                    format!("this is not valid YAML: {}", error.info()),
                ));
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn place(&self, span: &Span) -> Place {
        Place::new(self.file, span.start.line(), span.start.col() + 1)
    }

    fn refuse<T>(&mut self, place: Place, message: &str, hint: &str) -> Result<T, Stop> {
        self.flaws.push(Flaw::at(place, message).hint(hint));
        Err(Stop)
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        let place = self.place(&span);
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return self.refuse(
                place,
                "the file is nested too deeply or too large",
                "split it with `include`",
            );
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() || anchor != 0 {
                    return self.refuse(
                        place,
                        "tags and anchors are not read",
                        "write the value out",
                    );
                }
                self.scalar(place, text, style)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some() || anchor != 0 {
                    return self.refuse(
                        place,
                        "tags and anchors are not read",
                        "write the list out",
                    );
                }
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                Value::List(items)
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some() || anchor != 0 {
                    return self.refuse(
                        place,
                        "tags and anchors are not read",
                        "write the map out",
                    );
                }
                self.map(depth)?
            }
            Event::Alias(_) => {
                return self.refuse(place, "aliases are not read", "write the value out");
            }
            _ => {
                return self.refuse(
                    place,
                    "this YAML construct is not read here",
                    "write a plain value",
                );
            }
        };
        Ok(Node { place, value })
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let place = self.place(&span);
            let text = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return self.refuse(place, "a key must be plain text", "write `key: value`"),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                let message = format!(
                    "`{text}` is written twice (first on line {})",
                    first.place.line
                );
                self.flaws
                    .push(Flaw::at(place, message).hint("keep one of the two"));
                continue;
            }
            entries.push((Key { place, text }, node));
        }
        Ok(Value::Map(entries))
    }

    fn scalar(&mut self, place: Place, text: Cow<'a, str>, style: ScalarStyle) -> Value {
        if !text.contains('$') {
            if style == ScalarStyle::Plain {
                return plain(&text);
            }
            return Value::Text {
                text: text.into_owned(),
                substituted: false,
                variable: None,
            };
        }
        match substitute(&text, self.env) {
            Ok((value, substituted)) => Value::Text {
                variable: only_variable(&text).filter(|_| substituted).map(Box::from),
                text: value,
                substituted,
            },
            Err(problem) => {
                self.flaws.push(Flaw::at(place, problem.0).hint(problem.1));
                Value::Null
            }
        }
    }
}

/// YAML 1.2 core schema: `no`, `on`, `1_000` are text.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Int(number);
        }
    } else if digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|b| *b == b'.').count() == 1
        && let Ok(number) = text.parse::<f64>()
    {
        return Value::Float(number);
    }
    Value::Text {
        text: text.to_owned(),
        substituted: false,
        variable: None,
    }
}

/// The name, if the text is one `${NAME}` and nothing else.
fn only_variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains(['$', '{', '}'])).then_some(name)
}

/// Replaces `${NAME}` and `$$`.
fn substitute(text: &str, env: Environment<'_>) -> Result<(String, bool), (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut substituted = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = after.find('}') else {
                return Err((
                    "`${` has no closing `}`".to_owned(),
                    "write `${NAME}`, or `$$` for one `$`".to_owned(),
                ));
            };
            let name = &after[..end];
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err((
                    format!("`${{{name}}}` does not name an environment variable"),
                    "a name has letters, digits and `_`".to_owned(),
                ));
            }
            let Some(value) = env(name) else {
                return Err((
                    format!("the environment variable `{name}` is not set"),
                    format!("export {name} before the start"),
                ));
            };
            out.push_str(&value);
            substituted = true;
            rest = &after[end + 1..];
        } else {
            return Err((
                "a single `$` means nothing here".to_owned(),
                "write `${NAME}`, or `$$` for one `$`".to_owned(),
            ));
        }
    }
    out.push_str(rest);
    Ok((out, substituted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn one(text: &str) -> Node {
        read(0, text, &nothing).expect("valid").remove(0)
    }

    fn flaw(text: &str) -> (usize, usize, String) {
        let flaw = read(0, text, &nothing).expect_err("flawed").remove(0);
        let place = flaw.place.expect("a place");
        (place.line, place.column, flaw.message)
    }

    #[test]
    fn every_node_knows_its_line_and_column() {
        let node = one("a: 1\nlist:\n  - x\n  - y: 2\n");
        let y = node.nearest([Step::Key("list"), Step::Index(1), Step::Key("y")]);
        assert_eq!((y.place.line, y.place.column), (4, 8));
    }

    #[test]
    fn words_of_older_yaml_stay_text_and_numbers_are_numbers() {
        let node = one("a: no\nb: 1_000\nc: 12\nd: 1.5\ne: 10m\nf: 'true'\n");
        assert_eq!(
            node.to_json(),
            serde_json::json!({"a":"no","b":"1_000","c":12,"d":1.5,"e":"10m","f":"true"})
        );
    }

    #[test]
    fn comments_are_passed_over() {
        let node = one("# a\na: 1 # b\n# c\nb: 2\n");
        assert_eq!(node.to_json(), serde_json::json!({"a": 1, "b": 2}));
    }

    #[test]
    fn a_key_written_twice_is_refused_at_the_second() {
        assert_eq!(
            flaw("a: 1\nb: 2\na: 3\n"),
            (3, 1, "`a` is written twice (first on line 1)".to_owned())
        );
    }

    #[test]
    fn an_alias_is_refused() {
        assert_eq!(flaw("a: &x 1\nb: *x\n").2, "tags and anchors are not read");
    }

    #[test]
    fn broken_yaml_names_its_line() {
        let (line, _, message) = flaw("a: [1, 2\nb: 3\n");
        assert!(
            line >= 1 && message.starts_with("this is not valid YAML"),
            "{line} {message}"
        );
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert_eq!(
            flaw("a: ${NOT_SET}\n").2,
            "the environment variable `NOT_SET` is not set"
        );
    }

    #[test]
    fn variables_are_replaced_and_two_dollars_are_one() {
        let env = |name: &str| (name == "X").then(|| "v".to_owned());
        let node = read(0, "a: p${X}s\nb: cost $$5\n", &env)
            .expect("valid")
            .remove(0);
        assert_eq!(node.to_json(), serde_json::json!({"a":"pvs","b":"cost $5"}));
        assert!(matches!(
            node.get("a").map(|n| &n.value),
            Some(Value::Text {
                substituted: true,
                ..
            })
        ));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "[".repeat(500) + &"]".repeat(500);
        assert!(read(0, &text, &nothing).is_err());
    }
}
