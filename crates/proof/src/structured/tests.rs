use proptest::prelude::*;

use super::*;

#[test]
fn fields_are_read_and_written_canonically() {
    for (sent, canonical) in [
        ("", ""),
        ("a=1,b=2", "a=1, b=2"),
        ("  a=1 ,\t b=2  ", "a=1, b=2"),
        ("a, b;x, c=?0", "a, b;x, c=?0"),
        ("a=?1;y=1", "a;y=1"),
        // RFC 9651 §3.1.1, §3.2
        (
            r#"en="Applepie", da=:w4ZibGV0w6ZydGU=:"#,
            r#"en="Applepie", da=:w4ZibGV0w6ZydGU=:"#,
        ),
        (
            "rating=1.5, feelings=(joy sadness)",
            "rating=1.5, feelings=(joy sadness)",
        ),
        (
            "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid",
            "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid",
        ),
        ("a=(  1   2  )", "a=(1 2)"),
        ("a=1.500, b=-0.010, c=2.0", "a=1.5, b=-0.01, c=2.0"),
        (r#"a="x\"y\\z""#, r#"a="x\"y\\z""#),
        (
            "a=@1659578233, b=-5, c=*t/o:k",
            "a=@1659578233, b=-5, c=*t/o:k",
        ),
        ("a=1;  b;  c=?0", "a=1;b;c=?0"),
        ("a=::", "a=::"),
    ] {
        let parsed = parse_dictionary(sent).unwrap_or_else(|e| panic!("{sent}: {e}"));
        assert_eq!(dictionary_text(&parsed), canonical, "{sent}");
    }
    let list = parse_list(r#""foo";a=1;b=2,("foo" "bar");lvl=5"#).unwrap();
    assert_eq!(list_text(&list), r#""foo";a=1;b=2, ("foo" "bar");lvl=5"#);
    assert_eq!(parse_item("5; foo=bar").unwrap().to_string(), "5;foo=bar");
}

#[test]
fn d06_what_could_be_read_two_ways_is_refused() {
    use StructuredDefect::{Duplicate, Syntax, TooLong};
    let many = vec!["a"; MAX_MEMBERS + 1];
    let many: Vec<String> = many
        .iter()
        .enumerate()
        .map(|(n, a)| format!("{a}{n}"))
        .collect();
    for (text, defect) in [
        ("a=1, a=2", Duplicate),
        ("a=1;x=1;x=1", Duplicate),
        (r#"a=("b";x;x)"#, Duplicate),
        ("a=1,", Syntax),
        (",a=1", Syntax),
        ("a=1 b=2", Syntax),
        ("A=1", Syntax),
        ("a=", Syntax),
        ("a=(1 2", Syntax),
        ("a=(1,2)", Syntax),
        ("a=(1\t2)", Syntax),
        ("a=\"x", Syntax),
        ("a=\"\\x\"", Syntax),
        ("a=\"\u{e9}\"", Syntax),
        ("a=:QQ:", Syntax),
        ("a=:QR==:", Syntax),
        ("a=:QQ==", Syntax),
        ("a=: QQ==:", Syntax),
        ("a=1234567890123456", Syntax),
        ("a=1.2345", Syntax),
        ("a=1.", Syntax),
        ("a=--1", Syntax),
        ("a=?2", Syntax),
        ("a=@1.5", Syntax),
        ("a=%\"x\"", Syntax),
        (&many.join(","), TooLong),
        (&"a".repeat(MAX_FIELD_BYTES + 1), TooLong),
    ] {
        assert_eq!(parse_dictionary(text), Err(defect), "{text:.40}");
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_so_that_it_reads_the_same(text in "[ -~]{0,60}") {
        if let Ok(parsed) = parse_dictionary(&text) {
            let written = dictionary_text(&parsed);
            prop_assert_eq!(parse_dictionary(&written), Ok(parsed));
        }
        if let Ok(parsed) = parse_list(&text) {
            prop_assert_eq!(parse_list(&list_text(&parsed)), Ok(parsed));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,80}") {
        let _ = (parse_dictionary(&text), parse_list(&text), parse_item(&text));
    }
}
