//! Lists in header fields whose items may stand in double quotes (RFC 9110 §5.6): where one item
//! ends. What an item means is its reader's question.

/// Splits at `divider` outside of double quotes.
pub fn split(text: &str, divider: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == divider && !quoted
    })
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
}
