//! Lists in header fields whose items may stand in double quotes (RFC 9110 §5.6): where one item
//! ends. A backslash within quotes takes the meaning off what follows it (RFC 9110 §5.6.4), so that a
//! name with a quote in it ends nothing. What an item means is its reader's question; a reader that
//! knows no backslashes refuses them, and one that must not lose a part asks [`is_closed`] first.

/// Splits at `divider` outside of double quotes.
pub fn split(text: &str, divider: char) -> impl Iterator<Item = &str> {
    let mut within = Within::default();
    text.split(move |c| !within.pass(c) && c == divider)
}

/// Whether every quote that was opened is closed: else the rest of the text is one item, whatever
/// stands in it.
pub fn is_closed(text: &str) -> bool {
    let mut within = Within::default();
    for c in text.chars() {
        within.pass(c);
    }
    !within.quoted
}

/// Whether a character stands in quotes, and whether a backslash stands before it there.
#[derive(Default)]
struct Within {
    quoted: bool,
    escaped: bool,
}

impl Within {
    /// Whether the next character is a part of what is quoted.
    fn pass(&mut self, c: char) -> bool {
        if core::mem::take(&mut self.escaped) {
            return true;
        }
        match c {
            '\\' if self.quoted => self.escaped = true,
            '"' => self.quoted = !self.quoted,
            _ => {}
        }
        self.quoted
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_divider_within_quotes_divides_nothing() {
        let parts = |text| super::split(text, ',').collect::<Vec<_>>();
        assert_eq!(parts("a,\"b,c\",d"), ["a", "\"b,c\"", "d"]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("a,\"b,c"), ["a", "\"b,c"]);
    }

    #[test]
    fn a_quote_behind_a_backslash_ends_nothing() {
        for (text, items) in [
            (r#"a="1\",b="2",c=3"#, &[r#"a="1\",b="2",c=3"#][..]),
            (r#"a="1\",b",c=3"#, &[r#"a="1\",b""#, "c=3"]),
            (r#"a="1\\",b=2"#, &[r#"a="1\\""#, "b=2"]),
            (r#"a="1\,",b"#, &[r#"a="1\,""#, "b"]),
            // Outside of quotes it is a character like any other.
            (r"a\,b", &[r"a\", "b"]),
            (r#"a\",b",c"#, &[r#"a\",b""#, "c"]),
        ] {
            assert_eq!(super::split(text, ',').collect::<Vec<_>>(), items, "{text}");
        }
    }

    #[test]
    fn quotes_that_are_not_closed_are_told() {
        for (text, closed) in [
            ("", true),
            ("a", true),
            (r#""a""#, true),
            (r#""a\\""#, true),
            (r#""a"#, false),
            (r#""a\""#, false),
            (r#""a" ""#, false),
        ] {
            assert_eq!(super::is_closed(text), closed, "{text}");
        }
    }
}
