//! Paths into a JSON value as rules write them: JSON pointers (RFC 6901) in which a step `*` stands for
//! every element or member. The one grammar of masks and of objects in a body.

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Every element or member.
    Any,
    /// A member's name, or an element's index.
    Named(Box<str>),
}

/// Reads `/orders/*/card`. A name that is itself a star is written `~2`. `None` for the empty pointer,
/// which means the whole value, and for what is none.
pub(super) fn read(text: &str) -> Option<Vec<Step>> {
    text.strip_prefix('/')?.split('/').map(step).collect()
}

fn step(text: &str) -> Option<Step> {
    if text == "*" {
        return Some(Step::Any);
    }
    let mut name = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        name.push(match letter {
            // RFC 6901 §3: `~` stands before 0 or 1, and here before 2.
            '~' => match letters.next()? {
                '0' => '~',
                '1' => '/',
                '2' => '*',
                _ => return None,
            },
            other => other,
        });
    }
    Some(Step::Named(name.into()))
}
